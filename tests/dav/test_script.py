"""The helper must be louder than a conversation that goes wrong."""

import pytest

from busyd.dav.exchange import DavRequest, Operation
from tests.dav.script import answer, exchange


def two_requests() -> Operation[str]:
    yield DavRequest("GET", "/one")
    response = yield DavRequest("GET", "/two")
    return response.url


def test_the_value_and_the_requests_are_handed_back() -> None:
    value, asked = exchange(two_requests(), answer(200), answer(200))
    assert (value, [request.target for request in asked]) == ("https://caldav.icloud.com/two", ["/one", "/two"])


def test_too_few_answers_fail() -> None:
    with pytest.raises(AssertionError, match="asks for more: GET /two"):
        exchange(two_requests(), answer(200))


def test_answers_left_over_fail() -> None:
    with pytest.raises(AssertionError, match="1 answers left over"):
        exchange(two_requests(), answer(200), answer(200), answer(200))
