"""Hrefs that mean the same resource are the same text."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav.href import normalise_href, resolve_url, same_resource

SEGMENT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/300/calendars/home/a@b.ics", "/300/calendars/home/a%40b.ics"),
        ("/300/calendars/home/a%40b.ics", "/300/calendars/home/a%40b.ics"),
        ("https://p180-caldav.icloud.com:443/300/calendars/", "/300/calendars/"),
        ("https://caldav.icloud.com", "/"),
        ("//calendars/x/", "/calendars/x/"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb/c", "/a%2Fb/c"),
        ("/ü.ics", "/%C3%BC.ics"),
        ("/%c3%bc.ics", "/%C3%BC.ics"),
        ("\n  /x/y.ics\t", "/x/y.ics"),
        ("/x y&z;1+2.ics", "/x%20y%26z%3B1%2B2.ics"),
        ("/x#fragment", "/x"),
        ("/x?a=b&c=%20", "/x?a=b&c=%20"),
        ("/%00\x01", "/%00%01"),
    ],
)
def test_an_href_has_one_spelling(text: str, expected: str) -> None:
    assert normalise_href(text) == expected


def test_a_collection_ends_in_a_slash() -> None:
    assert normalise_href("/300/calendars/home", collection=True) == "/300/calendars/home/"
    assert normalise_href("/300/calendars/home/", collection=True) == "/300/calendars/home/"


@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_normalising_twice_changes_nothing(segments: list[str]) -> None:
    once = normalise_href("/" + "/".join(segments))
    assert normalise_href(once) == once


@given(SEGMENT)
def test_however_a_name_is_encoded_it_is_the_same_resource(name: str) -> None:
    spare = quote(name, safe="@:+,;=!$&'()*")
    assert normalise_href("/c/" + spare) == normalise_href("/c/" + quote(name, safe=""))


@given(SEGMENT, SEGMENT)
def test_different_names_stay_different(one: str, other: str) -> None:
    same = normalise_href("/" + quote(one, safe="")) == normalise_href("/" + quote(other, safe=""))
    assert same is (one == other)


def test_the_result_is_always_fit_for_a_request_line() -> None:
    every = "".join(map(chr, range(1, 0x180)))
    assert all("!" <= character <= "~" for character in normalise_href("/" + every))


def test_host_encoding_and_slash_do_not_tell_resources_apart() -> None:
    assert same_resource("https://caldav.icloud.com/300/calendars/a@b", "/300/calendars/a%40b/")
    assert not same_resource("/300/calendars/home/", "/300/calendars/work/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://p180-caldav.icloud.com:443/300/calendars/", "https://p180-caldav.icloud.com/300/calendars/"),
        ("/300/principal/", "https://caldav.icloud.com/300/principal/"),
        ("//evil.example/x", "https://caldav.icloud.com/evil.example/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_an_href_is_resolved_against_the_answer_it_stood_in(text: str, expected: str) -> None:
    assert resolve_url("https://caldav.icloud.com/", text) == expected
