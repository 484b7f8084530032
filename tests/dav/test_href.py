"""Hrefs that mean the same resource are the same text."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav.href import is_same_etag, normalise_href, resolve_url, same_resource, spelling_of, spellings

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


@pytest.mark.parametrize(
    "path",
    [
        "/c/a@b.ics",
        "/c/a%40b.ics",
        "/c/12:30.ics",
        "/c/copy(1).ics",
        "/c/a%2Fb.ics",
        "/c/a%2fb.ics",
        "/c/1+1.ics",
        "/c/a;b,c=d&e!$'*.ics",
        "/c/a.ics/",
        "/c/100%.ics",
    ],
)
def test_a_resource_is_asked_for_as_its_server_spells_it(path: str) -> None:
    assert spelling_of(path) == path
    assert spelling_of(f" https://dav.example.org:443{path}#x\n") == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/c/a b.ics", "/c/a%20b.ics"),
        ("/c/ü.ics", "/c/%C3%BC.ics"),
        ('/c/<a>"{b}|^.ics', "/c/%3Ca%3E%22%7Bb%7D%7C%5E.ics"),
        ("/c/a\r\nHost: evil", "/c/a%0D%0AHost:%20evil"),
        ("//c/a.ics", "/c/a.ics"),
        ("https://dav.example.org", "/"),
    ],
)
def test_only_what_cannot_stand_in_a_request_line_is_spelled_otherwise(text: str, expected: str) -> None:
    assert spelling_of(text) == expected


@pytest.mark.parametrize("base", ["https://dav.example.org/u/c/", "https://dav.example.org/u/c", "/u/c/"])
def test_a_relative_href_is_below_the_collection_that_was_asked(base: str) -> None:
    assert spelling_of("a@b.ics", base) == "/u/c/a@b.ics"
    assert spelling_of("./a.ics", base) == "/u/c/a.ics"
    assert spelling_of("/x/a.ics", base) == "/x/a.ics"


@given(SEGMENT)
def test_the_spelling_of_a_name_means_the_same_resource_and_is_fit_for_a_request_line(name: str) -> None:
    for path in ("/c/" + name, "/c/" + quote(name, safe=""), "/c/" + quote(name, safe="@:+,;=!$&'()*")):
        spelled = spelling_of(path)
        assert normalise_href(spelled) == normalise_href(path)
        assert spelling_of(spelled) == spelled
        assert all("!" <= character <= "~" for character in spelled)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ("a", '"a"', True),
        (' "a" ', '"a"', True),
        ('"a-gzip"', '"a"', True),
        ('"a;gzip"', '"a"', True),
        ('"a--gzip"', '"a"', True),
        ('"a-br"', '"a-gzip"', True),
        ('"a"', '"b"', False),
        ('"a"', '"A"', False),
        ('"a-1"', '"a"', False),
        ('"a"', "", False),
    ],
)
def test_an_etag_is_the_same_however_it_is_written(one: str, other: str, expected: bool) -> None:
    assert is_same_etag(one, other) is expected
    assert is_same_etag(other, one) is expected


def test_a_collection_is_recognised_with_and_without_its_slash() -> None:
    assert spellings("https://h/c", "/d@e/") == {"/c", "/c/", "/d%40e", "/d%40e/"}
