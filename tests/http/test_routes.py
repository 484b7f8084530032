import pytest
from aiohttp import web

from busyd.http.call import Call
from busyd.http.router import Route, Routes


async def answer(call: Call) -> web.StreamResponse:
    return web.Response(text=call.request.path)


def routes(*paths: str) -> Routes:
    return Routes([Route(path, {"GET": answer}) for path in paths])


DAV = routes("/dav/", "/dav/{profile}/", "/dav/{profile}/{calendar}/", "/dav/{profile}/{calendar}/{object}")


@pytest.mark.parametrize(
    ("path", "route", "values"),
    [
        ("/dav/", "/dav/", {}),
        ("/dav/anna/", "/dav/{profile}/", {"profile": "anna"}),
        ("/dav/anna/work/", "/dav/{profile}/{calendar}/", {"profile": "anna", "calendar": "work"}),
        (
            "/dav/anna/work/1%20a.ics",
            "/dav/{profile}/{calendar}/{object}",
            {"profile": "anna", "calendar": "work", "object": "1 a.ics"},
        ),
    ],
)
def test_a_path_with_several_variables_is_found_by_its_segments(path: str, route: str, values: dict[str, str]) -> None:
    match = DAV.find(path)
    assert match is not None
    assert (match.route.path, match.values) == (route, values)


@pytest.mark.parametrize("path", ["/dav", "/dav//", "/dav/a%2Fb/", "/dav/a%0Ab/", "/dav/anna/work/x/y", "", "*"])
def test_a_path_that_fits_no_route_is_not_found(path: str) -> None:
    assert DAV.find(path) is None


def test_a_variable_may_be_followed_by_a_suffix_that_is_not_part_of_it() -> None:
    feeds = routes("/feeds/{token}.ics")
    match = feeds.find("/feeds/a.ics.ics")
    assert match is not None
    assert match.values == {"token": "a.ics"}
    assert [feeds.find(path) for path in ("/feeds/a", "/feeds/.ics", "/feeds/a.icsx")] == [None] * 3


def test_a_path_without_variables_goes_before_a_pattern() -> None:
    match = routes("/v1/{name}", "/v1/status").find("/v1/status")
    assert match is not None
    assert match.route.path == "/v1/status"


def test_paths_that_differ_in_a_suffix_alone_are_told_apart() -> None:
    feeds = routes("/feeds/{token}.ics", "/feeds/{token}.json", "/feeds/{token}/{part}")
    found = [feeds.find(path) for path in ("/feeds/a.json", "/feeds/a.ics", "/feeds/a/b", "/feeds/a.txt")]
    assert [match and match.route.path for match in found] == [
        *("/feeds/{token}.json", "/feeds/{token}.ics", "/feeds/{token}/{part}"),
        None,
    ]
