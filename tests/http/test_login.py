"""Logging in on the page: what a cookie is worth, and to whom."""

from typing import Any

import pytest

from busyd.credentials.sessions import SESSION_SECONDS
from busyd.http.login import ONCE_SECONDS
from tests.http.conftest import Answer, Serve, Served

BEHIND_PROXY: dict[str, Any] = {"behind_proxy": True, "hosts": ("busy.example",)}
EXPLAIN = "/v1/profiles/anna/explain"


def origin_of(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


async def log_in(served: Served, entered: str, **fields: str) -> Answer:
    """Send the form as a browser does."""
    headers = {"Origin": origin_of(served), **{name.replace("_", "-"): value for name, value in fields.items()}}
    url = f"{origin_of(served)}/login"
    async with served.session.post(url, headers=headers, data={"token": entered}, allow_redirects=False) as response:
        return Answer(response.status, response.headers, await response.read())


async def cookie_of(served: Served, token: str) -> str:
    """NAME=VALUE."""
    return str((await log_in(served, token)).headers["Set-Cookie"]).partition(";")[0]


async def test_a_token_opens_a_session_whose_cookie_no_script_and_no_other_site_gets(served: Served) -> None:
    token = served.backend.token("anna", "freebusy", "details")
    answer = await log_in(served, token)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"):
        assert part in cookie.split("; ")
    assert token.split("_", 2)[2] not in cookie
    assert "Secure" not in cookie
    assert (await served.ask(EXPLAIN, Cookie=cookie.partition(";")[0])).status == 200


async def test_by_tls_the_cookie_is_for_tls_only(serve: Serve) -> None:
    served = await serve(**BEHIND_PROXY)
    answer = await log_in(served, served.backend.token("anna"), Host="busy.example", Origin="https://busy.example")
    assert (answer.status, answer.headers["Set-Cookie"].endswith("; Secure")) == (303, True)


async def test_a_session_may_what_its_token_may_and_does_not_fall_back_to_this_machine(served: Served) -> None:
    cookie = await cookie_of(served, served.backend.token("anna", "details"))
    assert (await served.ask(EXPLAIN, Cookie=cookie)).status == 200
    for path in ("/v1/profiles/anna/freebusy", "/v1/profiles/anna/slots"):
        assert (await served.ask(path)).status == 200
        assert (await served.ask(path, Cookie=cookie)).error == "missing-scope"
    assert (await served.ask("/v1/profiles/bob/explain", Cookie=cookie)).error == "unknown-profile"
    assert (await served.ask("/v1/tokens", Cookie=cookie)).error == "missing-scope"


async def test_a_token_that_is_sent_counts_more_than_a_cookie(served: Served) -> None:
    cookie = await cookie_of(served, served.backend.token("anna", "details"))
    assert (await served.ask(EXPLAIN, Cookie=cookie, token="bd_0_wrong")).status == 401
    assert (await served.ask(EXPLAIN, Cookie=cookie, token=served.backend.token("bob"))).status == 404


async def test_a_session_ends_with_its_token_and_after_a_week(served: Served) -> None:
    token, other = served.backend.token("anna", "details"), served.backend.token("anna", "details")
    gone, late = await cookie_of(served, token), await cookie_of(served, other)
    served.backend.command_line.revoke_token(token.split("_")[1])
    assert (await served.ask(EXPLAIN, Cookie=gone)).error == "login-needed"
    served.backend.clock.advance(SESSION_SECONDS - 1)
    assert (await served.ask(EXPLAIN, Cookie=late)).status == 200
    served.backend.clock.advance(1)
    assert (await served.ask(EXPLAIN, Cookie=late)).error == "login-needed"


async def test_a_cookie_that_was_tampered_with_is_worth_nothing(served: Served) -> None:
    cookie = await cookie_of(served, served.backend.token("anna", "details"))
    other = served.backend.token("bob", "details").split("_")[1]
    name, _, value = cookie.partition("=")
    token_id, expires, signature = value.split(".")
    for forged in (
        f"{token_id}.{int(expires) + 1}.{signature}",
        f"{other}.{expires}.{signature}",
        f"{token_id}.{expires}.",
        f"{token_id}.{expires}.{'0' * 64}",
        f"{token_id}.x.{signature}",
        "nonsense",
    ):
        assert (await served.ask(EXPLAIN, Cookie=f"{name}={forged}")).status == 401
    assert (await served.ask(EXPLAIN, Cookie=f"a=b; {cookie}; c=d")).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "{own}", "Sec-Fetch-Site": "same-site"},
        {"Origin": "{own}", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_only_our_own_page_changes_anything_by_cookie(served: Served, fields: dict[str, str]) -> None:
    cookie = await cookie_of(served, served.backend.token("*", "admin"))
    sent = {name.replace("-", "_"): text.format(own=origin_of(served)) for name, text in fields.items()}
    for path in ("/v1/sync", "/v1/tokens", "/v1/logins", "/login", "/logout"):
        answer = await served.ask(path, method="POST", body={}, Cookie=cookie, **sent)
        assert (answer.status, answer.error) == (403, "cross-site")


async def test_our_own_page_changes_things_by_cookie(served: Served) -> None:
    cookie = await cookie_of(served, served.backend.token("*", "admin"))
    own = {"Cookie": cookie, "Origin": origin_of(served), "Sec-Fetch-Site": "same-origin"}
    assert (await served.ask("/v1/sync", method="POST", body={}, **own)).status == 200


async def test_a_site_that_may_read_answers_gets_none_by_cookie(serve: Serve) -> None:
    served = await serve(cors=("http://127.0.0.1:1",))
    cookie = await cookie_of(served, served.backend.token("*", "admin"))
    answer = await served.ask("/v1/sync", method="POST", body={}, Cookie=cookie, Origin="http://127.0.0.1:1")
    assert (answer.status, answer.error) == (403, "cross-site")
    answer = await served.ask("/v1/tokens", Cookie=cookie, Origin="http://127.0.0.1:1")
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_whoever_may_see_nothing_gets_the_login(serve: Serve) -> None:
    served = await serve(**BEHIND_PROXY)
    answer = await served.ask("/")
    assert (answer.status, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert 'action="/login"' in answer.text
    assert "anna" not in answer.text
    for path in ("/login", "/page/style.css", "/page/login.js"):
        assert (await served.ask(path)).status in (200, 401)
    cookie = await cookie_of(served, served.backend.token("anna"))
    page = await served.ask("/", Cookie=cookie)
    assert (page.status, "anna" in page.text, "bob" in page.text) == (200, True, False)


async def test_a_wrong_token_is_refused_with_a_reason_and_without_a_cookie(served: Served) -> None:
    for entered in ("", "bd_0_wrong", "once_wrong", "<script>", "\0"):
        answer = await log_in(served, entered)
        assert (answer.status, "no longer valid" in answer.text or "too old" in answer.text) == (401, True)
        assert "Set-Cookie" not in answer.headers
        assert "<script>" not in answer.text


async def test_guessing_on_the_page_gets_slow_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("busyd.http.auth.asyncio.sleep", wait)
    for number in range(13):
        await log_in(served, f"bd_guess_{number}")
    assert len(waits) == 3


async def test_logging_out_takes_the_cookie_away(served: Served) -> None:
    own = {"Cookie": await cookie_of(served, served.backend.token("anna")), "Origin": origin_of(served)}
    answer = await served.ask("/logout", method="POST", **own)
    assert (answer.status, "Max-Age=0" in answer.headers["Set-Cookie"]) == (303, True)


async def test_a_one_time_login_works_once_and_for_two_minutes(served: Served) -> None:
    token = served.backend.token("*", "admin")
    made = [(await served.ask("/v1/logins", method="POST", token=token)).json["path"] for _ in range(2)]
    first, second = (path.removeprefix("/login#") for path in made)
    assert (await log_in(served, first)).status == 303
    assert (await log_in(served, first)).status == 401
    served.backend.clock.advance(ONCE_SECONDS)
    assert (await log_in(served, second)).status == 401


async def test_a_one_time_login_is_worth_nothing_once_its_token_was_revoked(served: Served) -> None:
    token = served.backend.token("*", "admin")
    path = (await served.ask("/v1/logins", method="POST", token=token)).json["path"]
    served.backend.command_line.revoke_token(token.split("_")[1])
    assert (await log_in(served, path.removeprefix("/login#"))).status == 401
    assert (await served.ask("/v1/logins", method="POST", token=served.backend.token("*"))).error == "missing-scope"


async def test_forgotten_one_time_logins_do_not_pile_up(served: Served) -> None:
    token = served.backend.token("*", "admin")
    made = [(await served.ask("/v1/logins", method="POST", token=token)).json["path"] for _ in range(40)]
    assert (await log_in(served, made[0].removeprefix("/login#"))).status == 401
    assert (await log_in(served, made[-1].removeprefix("/login#"))).status == 303


async def test_a_stream_opened_by_cookie_ends_with_its_token(served: Served) -> None:
    token = served.backend.token("anna")
    headers = {"Cookie": await cookie_of(served, token), "Accept": "text/event-stream"}
    async with served.session.get(f"{origin_of(served)}/v1/changes", headers=headers) as response:
        assert response.status == 200
        served.backend.command_line.revoke_token(token.split("_")[1])
        await response.read()
