"""Titles that try to command an assistant: the most obedient one writes nothing outside the slots that are offered."""

import json
import re
from typing import Any

import pytest

from busyd.ical.compose import escape_text
from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.assistant import Assistant, assistant, make_token
from tests.journey.commanding_titles import CommandingTitle, commanding_titles
from tests.journey.scheduler import DAY, Scheduler

TITLES = commanding_titles()
A_DAY = 20
"""Events of one day, a quarter of an hour each."""
LIMITS = 'hours: {mon-sun: ["09:00-17:00"]}, slots: {window: 60d}'
MARK = re.compile(r"q\d{3}z")


@pytest.fixture
def commanded(scheduler: Scheduler, anna: Account, ten: int) -> Scheduler:
    """A calendar of two hundred such titles, on the days from `ten` on, from midnight to five o'clock UTC."""
    for number, title in enumerate(TITLES):
        day, quarter = divmod(number, A_DAY)
        start = ten - 10 * 3600 + day * DAY + quarter * 900
        anna.calendars["work"].put(f"{number}.ics", event(title, start))
    busyd = scheduler.busyd
    busyd.change("conflicts: [anna/Home]", f"conflicts: [anna/Home], {LIMITS}")
    assert busyd.command("reload").returncode == 0
    assert busyd.command("sync", "--now").returncode == 0
    return scheduler


def event(title: CommandingTitle, start: int) -> str:
    first, last = (re.sub(r"[-:]", "", to_rfc3339(at)) for at in (start, start + 900))
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:uid-{title.mark}\r\n"
        f"DTSTAMP:20260101T000000Z\r\nDTSTART:{first}\r\nDTEND:{last}\r\n"
        f"SUMMARY:{escape_text(title.text)}\r\nLOCATION:{title.mark}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def test_no_two_titles_are_alike() -> None:
    assert len(TITLES) == len({title.text for title in TITLES}) == 200
    assert len({title.wants[0] for title in TITLES}) == 6


async def test_an_assistant_that_obeys_every_title_writes_only_into_offered_slots(
    commanded: Scheduler, anna: Account, ten: int
) -> None:
    busyd, work = commanded.busyd, anna.calendars["work"]
    others = commanded.book(ten + 3600).json["id"]
    line = ["block", "add", "anna", "--start", to_rfc3339(ten + 7200), "--end", to_rfc3339(ten + 9000), "--json"]
    block = json.loads(busyd.command(*line).stdout)["id"]
    window = f"start={to_rfc3339(ten - DAY)}&end={to_rfc3339(ten + 20 * DAY)}"
    slots = f"/v1/profiles/anna/slots?{window}&duration=30m"
    offered = {one["start"] for one in busyd.get(slots, token=busyd.admin_token())["slots"]}
    before = {name: work.get(name) for name in work.objects()}
    values = {
        "@night": to_rfc3339(ten - 8 * 3600 + 11 * DAY),
        "@busy": to_rfc3339(ten + 3600),
        "@off-grid": to_rfc3339(ten + DAY + 420),
        "@past": "2020-01-06T10:00:00Z",
        "@far": "2090-01-06T10:00:00Z",
        "@uid": f"uid-{TITLES[0].mark}",
        "@others": others,
        "@block": block,
    }
    assert not {values["@night"], values["@busy"], values["@off-grid"]} & offered
    token = make_token(busyd, "freebusy", "details", "book")
    async with assistant(busyd, token, "--allow-book", "--details") as one:
        seen = [title for day in range(len(TITLES) // A_DAY) for title in await titles_of(one, ten + day * DAY)]
        assert {title.mark for title in seen} == {title.mark for title in TITLES}
        done = [title.wants for title in seen if await obey(one, title, values)]
        assert done == []
        # This test can fail: the same assistant may book a slot that is offered.
        fine = {"profile": "anna", "start": to_rfc3339(ten + 4 * DAY), "title": "Fine", "idempotency_key": "fine"}
        assert fine["start"] in offered
        while not (await one.call("book", **fine))["settled"]:
            pass
    for path in ("appointments", "holds"):
        found = busyd.get(f"/v1/profiles/anna/{path}?{window}", token=busyd.admin_token())[path]
        assert {row["start"] for row in found if row["id"] != others} <= offered
        assert not [row for row in found if MARK.search(json.dumps(row))]
    after = {name: work.get(name) for name in work.objects()}
    assert {name: after.get(name) for name in before} == before
    assert len(after) == len(before) + 1


async def titles_of(one: Assistant, ten: int) -> list[CommandingTitle]:
    """The titles of one day, as far as the assistant is told them; they are on one line, and nothing hides in them."""
    midnight = ten - 10 * 3600
    answer = await one.call("explain", profile="anna", start=to_rfc3339(midnight), end=to_rfc3339(midnight + 6 * 3600))
    texts = [event["untrusted_title"] for event in answer["events"]]
    assert all(text.isprintable() and len(text) <= 201 for text in texts)
    marks = {mark[0] for text in texts if (mark := MARK.match(text)) is not None}
    return [title for title in TITLES if title.mark in marks]


async def obey(one: Assistant, title: CommandingTitle, values: dict[str, str]) -> bool:
    """Do what a title wants; whether the tool did it."""
    tool, wanted = title.wants
    arguments: dict[str, Any] = {"profile": "anna", **wanted}
    for name, value in arguments.items():
        if isinstance(value, str):
            for placeholder, meant in {**values, "@mark": title.mark}.items():
                value = value.replace(placeholder, meant)
            arguments[name] = value
    return not (await one.try_call(tool, **arguments)).is_error


async def test_no_title_is_told_unless_the_token_and_the_person_allow_it(commanded: Scheduler, ten: int) -> None:
    busyd = commanded.busyd
    window = {"profile": "anna", "start": to_rfc3339(ten - 10 * 3600), "end": to_rfc3339(ten + 10 * DAY)}
    for scopes, options in (
        (("freebusy",), ("--details",)),
        (("freebusy", "details"), ()),
        (("freebusy", "book"), ("--allow-book", "--details")),
    ):
        async with assistant(busyd, make_token(busyd, *scopes), *options) as one:
            busy = await one.call("check_busy", **window)
            assert busy["busy"]
            for tool in ("list_profiles", "find_slots", "explain"):
                await one.try_call(tool, **(window if tool != "list_profiles" else {}))
            taken = {"profile": "anna", "start": window["start"], "title": "Intro", "idempotency_key": "k"}
            await one.try_call("book", **taken)
            assert len(one.heard) == 5
            assert not MARK.findall("".join(one.heard))
            assert "untrusted" not in "".join(one.heard)
