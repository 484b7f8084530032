"""Every answer that says no is a problem a person understands, and no request of any shape gets anything else."""

import gzip
import logging

import msgspec
import pytest

from busyd.errors import RemoteError, UserError
from busyd.http.problem import TITLES, HttpProblem
from busyd.store.errors import OutOfSpace, StorageError
from tests.http.conftest import Served
from tests.http.small_backend import SmallBackend
from tests.http.wire import exchange

ANNA = "/v1/profiles/anna/freebusy"
POST = "POST /v1/sync HTTP/1.1\r\nHost: {host}\r\n"


@pytest.mark.parametrize(
    ("query", "name", "says"),
    [
        ("start=yesterday", "bad-window", "start='yesterday'"),
        ("start=2026-11-24T09:00:00", "bad-window", "is not a point in time"),
        ("start=2026-02-30", "bad-window", "names a day that does not exist"),
        ("start=2026-11-25&end=2026-11-24", "bad-window", "`start` must be before `end`"),
        (
            "start=2026-11-25T00:00:00Z&end=2026-11-24T00:00:00Z",
            "bad-window",
            "from 2026-11-25T00:00:00Z to 2026-11-24T00:00:00Z",
        ),
        ("start=2026-11-25&end=2026-11-25", "bad-window", "`start` must be before `end`"),
        ("start=2026-11-25&end=2036-11-25", "bad-window", "1000 days"),
        ("end=9999999999999999d", "bad-window", "is not a point in time"),
        ("start=now&end=now%2B999999999w", "bad-window", "is not a point in time"),
        ("tz=Mars/Olympus", "bad-request", "is not an IANA time zone"),
        ("tz=../../etc/passwd", "bad-request", "is not an IANA time zone"),
        ("tz=Europe", "bad-request", "is not an IANA time zone"),
        ("tz=%00", "bad-request", "is not an IANA time zone"),
        ("max_age=20", "bad-request", "has no unit"),
        ("max_age=9999999d", "bad-request", "is longer than 1000 days"),
        ("on_stale=maybe", "bad-request", "not a known value"),
        ("strat=now", "unknown-parameter", "'strat'"),
        ("start=now&start=now", "bad-request", "twice"),
        ("start=%ff", "bad-request", "UTF-8"),
    ],
)
async def test_a_question_that_cannot_be_meant_is_a_400_that_says_so(
    served: Served, query: str, name: str, says: str
) -> None:
    answer = await served.ask(f"{ANNA}?{query}")
    assert (answer.status, answer.error) == (400, name)
    assert says in answer.json["detail"]
    assert answer.json["fix"]


async def test_an_unknown_parameter_comes_with_a_suggestion(served: Served) -> None:
    assert (await served.ask(f"{ANNA}?strat=now")).json["fix"] == "did you mean start?"
    assert "no parameters" in (await served.ask("/healthz?verbose=1")).json["fix"]


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/profiles/", 404, "not-found"),
        ("GET", "/v1/profiles/anna/freebusy/", 404, "not-found"),
        ("GET", "/v1/profiles/a%2Fb/freebusy", 404, "not-found"),
        ("GET", "/v1/profiles/%ff/freebusy", 404, "unknown-profile"),
        ("GET", "/v1/profiles/ghost/freebusy", 404, "unknown-profile"),
        ("POST", ANNA, 405, "method-not-allowed"),
        ("GET", "/v1/sync", 405, "method-not-allowed"),
        ("PROPFIND", ANNA, 405, "method-not-allowed"),
        ("TRACE", ANNA, 405, "method-not-allowed"),
    ],
)
async def test_wrong_addresses_and_methods_are_problems_too(
    served: Served, method: str, path: str, status: int, name: str
) -> None:
    answer = await served.ask(path, method=method)
    assert (answer.status, answer.error) == (status, name)
    assert answer.json["status"] == status
    assert answer.json["title"] == TITLES[name]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if status == 405:
        assert "OPTIONS" in answer.headers["Allow"]
        assert answer.headers["Allow"] in answer.json["fix"]


async def test_options_says_what_is_possible(served: Served) -> None:
    for path, allowed in ((ANNA, "GET, HEAD, OPTIONS"), ("/v1/sync", "OPTIONS, POST")):
        answer = await served.ask(path, method="OPTIONS")
        assert (answer.status, answer.headers["Allow"], answer.body) == (204, allowed, b"")


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (RuntimeError("canary secret"), 500, "crash"),
        (KeyError("canary"), 500, "crash"),
        (RemoteError("canary"), 503, "unavailable"),
        (StorageError("canary"), 503, "unavailable"),
        (OutOfSpace("canary"), 503, "out-of-space"),
        (UserError("that is no calendar", fix="name one"), 400, "bad-request"),
        (HttpProblem("stale", 503, detail="old", fix="wait"), 503, "stale"),
    ],
)
async def test_an_unexpected_error_is_answered_without_its_details(
    served: Served, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, name: str
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(SmallBackend, "explain", fail)
    answer = await served.ask("/v1/profiles/anna/explain", token=served.backend.token("anna", "details"))
    assert (answer.status, answer.error) == (status, name)
    assert "canary" not in answer.text
    assert ("Retry-After" in answer.headers) is isinstance(error, StorageError)
    assert (await served.ask(ANNA)).status == 200


async def test_an_error_of_every_request_does_not_fill_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("always")

    monkeypatch.setattr(SmallBackend, "explain", fail)
    token = served.backend.token("anna", "details")
    for _ in range(25):
        assert (await served.ask("/v1/profiles/anna/explain", token=token)).status == 500
    assert len(caplog.records) == 10
    assert "always" in caplog.text


async def test_no_token_stands_in_a_log_or_an_answer(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = served.backend.token("anna")
    for path in (f"/feeds/{token}.ics", f"/feeds/{token}x.ics", f"/x/{token}", f"{ANNA}?token={token}"):
        answer = await served.ask(path, token=token if path.startswith("/v1") else "")
        assert token.split("_", 2)[2] not in f"{answer.headers} {answer.text if answer.status != 200 else ''}"
    assert token.split("_", 2)[2] not in caplog.text


@pytest.mark.parametrize(
    "request_text",
    [
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET / HTTP/9.9\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: \x00\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
        "hello\r\n",
    ],
)
async def test_what_is_not_http_gets_400_and_no_word_of_it_back(served: Served, request_text: str) -> None:
    status, body = await exchange(served.port, request_text.replace("{host}", f"127.0.0.1:{served.port}"))
    assert status == 400
    assert b"errors/bad-request" in body
    assert b"aaaa" not in body


@pytest.mark.parametrize(
    ("request_text", "status", "name", "says"),
    [
        ("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n", 414, "address-too-long", "longer than 8190 bytes"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX: /{long}\r\n\r\n", 431, "header-too-large", "longer than 8190"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\n{long}: x\r\n\r\n", 431, "header-too-large", "longer than 8190"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\n{many}\r\n", 431, "header-too-large", "too many"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "bad-request", "no Host"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n", 400, "bad-request", "two Host"),
        ("FOO / HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "bad-request", "method"),
        ("get / HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "bad-request", "method"),
        ("GET / HTTP/9.9\r\nHost: {host}\r\n\r\n", 400, "bad-request", "version"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad-request", "HTTP/2"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01", 400, "bad-request", "TLS"),
        ("GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "bad-request", "not a valid HTTP/1.1 request"),
        ("GET ? HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "bad-request", "address"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nA B: x\r\n\r\n", 400, "bad-request", "name of a header field"),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX: \x00\r\n\r\n", 400, "bad-request", "value of a header field"),
        (f"{POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-request", "both Content-Length"),
        (f"{POST}Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "bad-request", "twice"),
        (f"{POST}Content-Length: many\r\n\r\n", 400, "bad-request", "Content-Length is not a number"),
        (f"{POST}Transfer-Encoding: gzip\r\n\r\n", 400, "bad-request", "Transfer-Encoding"),
    ],
)
async def test_what_the_parser_refuses_is_told_as_far_as_it_can_be(
    served: Served, request_text: str, status: int, name: str, says: str
) -> None:
    parts = {"{host}": f"127.0.0.1:{served.port}", "{long}": "a" * 10_000, "{many}": "X: a\r\n" * 500}
    for part, text in parts.items():
        request_text = request_text.replace(part, text)
    found, body = await exchange(served.port, request_text)
    problem = msgspec.json.decode(body)
    assert (found, problem["status"], problem["type"].rpartition("/")[2]) == (status, status, name)
    assert says in problem["detail"]
    assert problem["fix"]
    assert "aaaa" not in body.decode()


async def test_a_body_that_is_too_large_or_compressed_is_refused_unread(served: Served) -> None:
    token = served.backend.token("*", "admin")
    head = f"POST /v1/sync HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {token}\r\n"
    announced = f"{head}Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n"
    assert (await exchange(served.port, announced))[0] == 413
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert (await exchange(served.port, chunked + chunk * 2 + b"0\r\n\r\n"))[0] == 413
    bomb = gzip.compress(b" " * 1000)
    packed = f"{head}Content-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: {len(bomb)}\r\n\r\n"
    status, body = await exchange(served.port, packed.encode() + bomb)
    assert status == 415
    assert b"errors/wrong-media-type" in body


async def test_without_any_connection_every_question_about_a_profile_says_what_to_do(served: Served) -> None:
    served.backend.state.connections.clear()
    for path in ("freebusy", "slots", "freebusy.ifb"):
        answer = await served.ask(f"/v1/profiles/anna/{path}")
        assert (answer.status, answer.error) == (409, "no-connection")
        assert "`busyd setup`" in answer.json["fix"]
    assert (await served.ask("/v1/profiles/typo/freebusy")).error == "no-connection"
