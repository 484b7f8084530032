"""Every recorded answer goes through every conversation: a value or a named error, never a crash."""

from collections.abc import Callable
from typing import Any

import pytest

from busyd.dav.discovery import discover_account
from busyd.dav.errors import DavError
from busyd.dav.exchange import DavResponse, failure, preconditions
from busyd.dav.listing import list_calendars
from busyd.dav.operation import (
    Operation,
    delete_object,
    fetch_object,
    fetch_objects,
    list_members,
    put_object,
    sync_collection,
)
from tests.wire.recording import NAMES, recording

CONVERSATIONS: dict[str, Callable[[str, str], Operation[Any]]] = {
    "discover": lambda url, _: discover_account(url),
    "list": lambda url, _: list_calendars(url),
    "sync": lambda _, path: sync_collection(path, None),
    "sync with a token": lambda _, path: sync_collection(path, "token"),
    "members": lambda _, path: list_members(path),
    "batch": lambda _, path: fetch_objects(path, [path + "x.ics"]),
    "get": lambda _, path: fetch_object(path),
    "put": lambda _, path: put_object(path, b"x", if_none_match=True),
    "delete": lambda _, path: delete_object(path, None),
}


def run(operation: Operation[Any], response: DavResponse) -> Any:
    """The value, or the error, when each request gets the same answer."""
    try:
        next(operation)
        for _ in range(5):
            operation.send(response)
    except StopIteration as done:
        return done.value
    except DavError as error:
        return error
    raise AssertionError("the conversation does not end")


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_every_recorded_answer_is_a_value_or_a_named_error(conversation: Callable[[str, str], Operation[Any]]) -> None:
    for name in NAMES:
        given = recording(name)
        outcome = run(conversation(given.response.url, given.path), given.response)
        if isinstance(outcome, DavError):
            assert outcome.host in str(outcome) or "InvalidSyncToken" in repr(outcome)


def test_no_answer_but_a_listing_makes_members_vanish_or_a_listing_empty() -> None:
    for name in NAMES:
        given = recording(name)
        if given.response.status == 207:
            continue
        for conversation in (
            sync_collection(given.path, "token"),
            list_members(given.path),
            list_calendars(given.path),
        ):
            assert isinstance(run(conversation, given.response), DavError)


def test_every_named_precondition_of_the_recordings_is_understood() -> None:
    told = {element for name in NAMES for element in preconditions(recording(name).response)}
    local = {element.rpartition("}")[2] for element in told}
    assert local >= {
        "valid-sync-token",
        "no-uid-conflict",
        "valid-calendar-data",
        "need-privileges",
        "supported-report",
    }


def test_every_refusal_is_a_sentence_that_names_the_host_and_holds_no_payload() -> None:
    for name in NAMES:
        given = recording(name).response
        text = str(failure(given))
        assert text.startswith(given.host) and "<" not in text and len(text) < 250
