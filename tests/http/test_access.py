"""Who may ask what: the rules of access, one by one."""

from pathlib import Path

import pytest

from busyd.http.request_headers import ListenerContext, listener_names
from busyd.http.settings import EndpointSettings
from busyd.period import Instant
from busyd.store.ledger import LEDGER_FILE, Ledger
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import NOW
from tests.http.wire import exchange

ANNA = "/v1/profiles/anna/freebusy"
OPEN_HERE = ["/v1/profiles", ANNA, f"{ANNA}.ifb", "/v1/profiles/anna/slots", "/readyz", "/metrics"]
OPEN_EVERYWHERE = ["/healthz", "/openapi.json"]
CLOSED_HERE = ["/v1/profiles/anna/explain", "/v1/status", "/v1/calendars", "/v1/capabilities"]
PROXY_FIELDS = ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Anything", "X-Real-IP"]


@pytest.mark.parametrize("path", OPEN_HERE)
async def test_what_holds_no_details_needs_no_token_on_this_machine(served: Served, path: str) -> None:
    assert (await served.ask(path)).status == 200


@pytest.mark.parametrize("settings", [{}, {"local_access": False}, {"behind_proxy": True}])
async def test_whether_it_runs_and_what_the_api_is_needs_no_token_anywhere(
    serve: Serve, settings: dict[str, bool]
) -> None:
    served = await serve(**settings)
    for path in OPEN_EVERYWHERE:
        assert (await served.ask(path, X_Forwarded_For="192.0.2.1")).status == 200
    assert (await served.ask("/healthz")).json == {"status": "alive"}


async def test_metrics_have_a_scope_of_their_own(served: Served) -> None:
    token = served.backend.token("*", "metrics")
    assert (await served.ask("/metrics", token=token)).status == 200
    assert (await served.ask("/v1/status", token=token)).status == 403


@pytest.mark.parametrize("path", CLOSED_HERE)
async def test_all_else_needs_a_token(served: Served, path: str) -> None:
    answer = await served.ask(path)
    assert (answer.status, answer.error) == (401, "login-needed")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", PROXY_FIELDS)
async def test_what_came_through_a_proxy_is_never_local(served: Served, name: str) -> None:
    for path in OPEN_HERE:
        answer = await served.ask(path, **{name: "127.0.0.1"})
        assert (answer.status, answer.error) == (401, "login-needed")


async def test_local_access_can_be_switched_off(serve: Serve) -> None:
    served = await serve(local_access=False)
    for path in OPEN_HERE:
        assert (await served.ask(path)).status == 401
    assert (await served.ask(ANNA, token=served.backend.token("anna"))).status == 200


@pytest.mark.parametrize("fields", [{}, {"Host": "localhost:{port}"}, {"Host": "busy.example"}, {"Via": "1.1 nginx"}])
async def test_behind_a_proxy_nobody_is_on_this_machine(serve: Serve, fields: dict[str, str]) -> None:
    served = await serve(behind_proxy=True, hosts=("busy.example",))
    token = served.backend.token("*", "freebusy", "admin")
    fields = {name: text.format(port=served.port) for name, text in fields.items()}
    for path in OPEN_HERE:
        answer = await served.ask(path, **fields)
        assert (answer.status, answer.error) == (401, "login-needed")
        assert (await served.ask(path, token=token, **fields)).status == 200
    assert (await served.ask(f"/feeds/{served.backend.token('anna')}.ics", **fields)).status == 200


async def test_a_page_of_another_site_is_not_local(served: Served) -> None:
    assert (await served.ask(ANNA, Sec_Fetch_Site="cross-site")).status == 401
    assert (await served.ask(ANNA, Origin="https://evil.example")).status == 401
    assert (await served.ask(ANNA, Sec_Fetch_Site="same-origin")).status == 200
    assert (await served.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")).status == 200


async def test_a_token_opens_its_profile(served: Served) -> None:
    token = served.backend.token("anna")
    for path in (ANNA, f"{ANNA}.ifb", "/v1/profiles/anna/slots"):
        assert (await served.ask(path, token=token, Via="proxy")).status == 200


def without_name(answer: Answer) -> str:
    return answer.text.replace("bob", "NAME").replace("ghost", "NAME")


@pytest.mark.parametrize("rest", ["freebusy", "freebusy.ifb", "slots", "explain"])
async def test_another_profile_looks_like_one_that_does_not_exist(served: Served, rest: str) -> None:
    token = served.backend.token("anna", "freebusy", "details", "book", "admin")
    await served.ask("/v1/profiles/bob/freebusy")
    other = await served.ask(f"/v1/profiles/bob/{rest}", token=token)
    nothing = await served.ask(f"/v1/profiles/ghost/{rest}", token=token)
    assert (other.status, other.error) == (404, "unknown-profile")
    assert without_name(other) == without_name(nothing)


async def test_nothing_of_one_profile_is_seen_through_the_token_of_another(served: Served) -> None:
    token = served.backend.token("anna", "freebusy", "details", "book", "admin")
    for path in ("/v1/profiles", "/v1/status", "/v1/calendars", "/metrics"):
        answer = await served.ask(path, token=token)
        assert answer.status == 200
        assert "anna" in answer.text
        assert "bob" not in answer.text


async def test_a_token_for_all_sees_all(served: Served) -> None:
    token = served.backend.token("*", "freebusy", "admin")
    for path in ("/v1/profiles", "/v1/status", "/v1/calendars", "/metrics"):
        assert "bob" in (await served.ask(path, token=token)).text


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("details", ANNA),
        ("freebusy", "/v1/profiles/anna/explain"),
        ("freebusy", "/v1/status"),
        ("details", "/v1/calendars"),
        ("details", "/metrics"),
    ],
)
async def test_a_scope_that_is_missing_is_named(served: Served, scope: str, path: str) -> None:
    answer = await served.ask(path, token=served.backend.token("anna", scope))
    assert (answer.status, answer.error) == (403, "missing-scope")
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


async def test_a_kept_answer_is_guarded_like_a_new_one(served: Served) -> None:
    assert (await served.ask(ANNA)).status == 200
    assert (await served.ask(ANNA, Via="1.1 proxy")).status == 401
    assert (await served.ask(ANNA, token=served.backend.token("bob"))).status == 404
    assert (await served.ask(ANNA, token=served.backend.token("anna", "details"))).status == 403
    assert (await served.ask(ANNA, Host="evil.example")).status == 421


async def test_a_wrong_token_does_not_fall_back_to_this_machine(served: Served) -> None:
    for token in ("nonsense", "bd_000000000000_wrong", served.backend.token("anna") + "x"):
        answer = await served.ask(ANNA, token=token)
        assert (answer.status, answer.error) == (401, "login-needed")
    assert (await served.ask(ANNA, Authorization="Basic YTpi")).status == 401


async def test_revoked_and_expired_tokens_are_refused_at_once_and_alike(served: Served) -> None:
    gone, late = served.backend.token("anna"), served.backend.token("anna", expires=Instant(NOW + 60))
    assert (await served.ask(ANNA, token=gone)).status == 200
    assert (await served.ask(ANNA, token=late)).status == 200
    served.backend.command_line.revoke_token(gone.split("_")[1])
    served.backend.clock.advance(60)
    assert (await served.ask(ANNA, token=gone)).body == (await served.ask(ANNA, token=late)).body
    assert (await served.ask(ANNA, token=late)).status == 401


async def test_a_change_by_the_command_line_counts_at_once(served: Served, tmp_path: Path) -> None:
    token = served.backend.token("anna")
    for _ in range(3):
        assert (await served.ask(ANNA, token=token)).status == 200
    other = Ledger.open(tmp_path / LEDGER_FILE)
    other.revoke_token(token.split("_")[1])
    assert (await served.ask(ANNA, token=token)).status == 401
    made = other.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=Instant(NOW))
    assert (await served.ask(ANNA, token=made.text)).status == 200
    other.close()


async def test_the_use_of_a_token_is_noted_once_a_minute(served: Served) -> None:
    token = served.backend.token("anna")
    seen = []
    for _ in range(3):
        await served.ask(ANNA, token=token)
        known = served.backend.ledger.known_token(token, Instant(NOW))
        seen.append(known.last_used if known is not None else None)
        served.backend.clock.advance(40)
    assert seen == [NOW, NOW, NOW + 80]


async def test_guessing_tokens_gets_slow_and_using_one_does_not(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("busyd.http.auth.asyncio.sleep", wait)
    for number in range(13):
        await served.ask(ANNA, token=f"bd_guess_{number}")
    assert len(waits) == 3
    assert (await served.ask(ANNA, token=served.backend.token("anna"))).status == 200
    assert len(waits) == 3


GOOD_HOSTS = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    "LOCALHOST:{port}",
    "[::1]:{port}",
    "busy.example",
    "busy.example:9",
]
BAD_HOSTS = [
    "evil.example",
    "127.0.0.1",
    "127.0.0.1:1",
    "localhost.:{port}",
    "127.0.0.1:{port}.evil.example",
    "",
    "a b",
]


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_the_names_it_listens_under_are_answered(serve: Serve, host: str) -> None:
    served = await serve(hosts=("busy.example",))
    status, _ = await exchange(served.port, f"GET {ANNA} HTTP/1.1\r\nHost: {host.format(port=served.port)}\r\n\r\n")
    assert status == 200


@pytest.mark.parametrize("host", ["localhost:8443", "127.0.0.1:9", "[::1]:8443", "localhost", "[::1]"])
async def test_behind_a_proxy_a_loopback_name_is_ours_with_any_port(serve: Serve, host: str) -> None:
    text = f"GET {ANNA} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    assert (await exchange((await serve(behind_proxy=True)).port, text))[0] == 401
    assert (await exchange((await serve()).port, text))[0] == 421


@pytest.mark.parametrize(("port", "is_foreign"), [(8443, False), (3000, True)])
def test_behind_a_proxy_the_page_of_another_port_is_another_site(port: int, is_foreign: bool) -> None:
    listener = ListenerContext(EndpointSettings(behind_proxy=True), listener_names(("127.0.0.1", 8377)), is_local=True)
    head = listener.read(((b"Host", b"localhost:8443"), (b"Origin", f"http://localhost:{port}".encode())))
    assert (head.fault, head.cross_site) == ("", is_foreign)


async def test_behind_a_proxy_a_foreign_name_is_as_foreign_as_ever(serve: Serve) -> None:
    served = await serve(behind_proxy=True)
    for host in ("evil.example:8443", "127.0.0.1.evil.example", "localhost.:80"):
        assert (await exchange(served.port, f"GET {ANNA} HTTP/1.1\r\nHost: {host}\r\n\r\n"))[0] == 421


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("target", [ANNA, "/", "/no-such-page", "/feeds/x.ics", "/healthz"])
async def test_another_host_is_refused_on_every_route(served: Served, host: str, target: str) -> None:
    status, body = await exchange(
        served.port, f"GET {target} HTTP/1.1\r\nHost: {host.format(port=served.port)}\r\n\r\n"
    )
    assert status == 421
    assert b"errors/misdirected" in body


async def test_tricks_with_the_host_do_not_get_through(served: Served) -> None:
    good = f"127.0.0.1:{served.port}"
    for request, expected in (
        (f"GET {ANNA} HTTP/1.0\r\n\r\n", 421),
        (f"GET {ANNA} HTTP/1.1\r\nHost: {good}\r\nHost: evil.example\r\n\r\n", 400),
        (f"GET http://evil.example{ANNA} HTTP/1.1\r\nHost: {good}\r\n\r\n", 421),
        (f"GET http://{good}{ANNA} HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (f"GET http://{good}{ANNA} HTTP/1.1\r\nHost: {good}\r\n\r\n", 200),
        (f"GET http://user@evil.example:{served.port}{ANNA} HTTP/1.1\r\nHost: {good}\r\n\r\n", 421),
    ):
        status, _ = await exchange(served.port, request)
        assert status == expected, request


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_cannot_write_even_with_a_token(served: Served, fields: dict[str, str]) -> None:
    token = served.backend.token("anna", "admin")
    answer = await served.ask("/v1/sync", method="POST", token=token, **fields)
    assert (answer.status, answer.error) == (403, "cross-site")


async def test_its_own_page_can_write(served: Served) -> None:
    token = served.backend.token("anna", "admin")
    origin = f"http://127.0.0.1:{served.port}"
    answer = await served.ask(
        "/v1/sync", method="POST", token=token, Origin=origin, **{"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status == 200


async def test_other_origins_read_nothing_unless_they_are_configured(served: Served) -> None:
    answer = await served.ask("/healthz", Origin="https://page.example")
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_configured_origin_reads_answers_and_refusals(serve: Serve) -> None:
    served, page = await serve(cors=("https://page.example",)), "https://page.example"
    for path in (ANNA, ANNA, "/nothing", "/v1/status"):
        answer = await served.ask(path, Origin=page)
        assert answer.headers["Access-Control-Allow-Origin"] == page
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Origin" not in (await served.ask(path, Origin="https://evil.example")).headers
    before = await served.ask(ANNA, method="OPTIONS", Origin=page)
    assert (before.status, before.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, OPTIONS")
    sent = before.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"} <= set(sent)
