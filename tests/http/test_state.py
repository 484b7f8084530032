"""Profiles, status, calendars, health, metrics and sync: how the backend tells how it is."""

import asyncio
import re
import sys

import msgspec
import pytest
from msgspec.structs import replace

from busyd.connection import CalendarKind, Connection, ConnectionKind, RemoteCalendar
from busyd.flow.reload import ReloadFault, ReloadOutcome
from busyd.flow.sharing import DaemonView, SharingView
from busyd.http.bodies import Calendars, Profiles
from busyd.http.response import to_json
from busyd.http.status_bodies import Status
from busyd.period import Instant
from busyd.store.errors import OutOfSpace
from busyd.store.webhooks import WebhookProgress
from tests.http.conftest import Serve, Served
from tests.http.small_backend import NOW, SmallBackend
from tests.http.wire import read_answer


async def test_profiles_are_listed_with_their_state(served: Served) -> None:
    anna, bob, nobody = (await served.ask("/v1/profiles")).json["profiles"]
    assert anna == {
        "name": "anna",
        "timezone": "Europe/Berlin",
        "primary": "anna/Work",
        "conflicts": [],
        "state": "fresh",
        "as_of": "2026-11-23T12:00:00Z",
        "stale": False,
    }
    assert (bob["state"], nobody["state"]) == ("fresh", "unconfigured")
    served.backend.clock.advance(3600)
    served.backend.confirm("bob", None)
    assert [one["state"] for one in (await served.ask("/v1/profiles")).json["profiles"]] == [
        "stale",
        "incomplete",
        "unconfigured",
    ]


@pytest.mark.parametrize(
    ("path", "kind", "scope"),
    [("/v1/status", Status, "admin"), ("/v1/profiles", Profiles, "freebusy"), ("/v1/calendars", Calendars, "admin")],
)
async def test_what_is_written_piece_by_piece_is_what_is_written_as_a_whole(
    served: Served, path: str, kind: type[Status | Profiles | Calendars], scope: str
) -> None:
    for sharing in (None, SHARING):
        served.backend.sharing = sharing
        answer = await served.ask(path, token=served.backend.token("*", scope))
        assert answer.status == 200
        assert to_json(msgspec.json.decode(answer.body, type=kind)) == answer.body


async def test_status_says_what_is_wrong_in_words(served: Served) -> None:
    connection_state = served.backend.state.connections["anna"]
    connection_state.trouble = "the password was refused: make a new app-specific password"
    connection_state.last_poll = served.backend.clock.now()
    served.backend.note_problem(1, "/1.ics")
    answer = (await served.ask("/v1/status", token=served.backend.token("*", "admin"))).json
    anna, bob = answer["connections"]
    assert (anna["state"], anna["detail"]) == ("trouble", connection_state.trouble)
    assert (bob["state"], bob["last_poll"]) == ("starting", None)
    connection_state.has_other_password = True
    answer = (await served.ask("/v1/status", token=served.backend.token("*", "admin"))).json
    assert answer["connections"][0]["state"] == "not-app-specific"
    assert anna["calendars"][0]["calendar"] == "anna/Work"
    assert answer["problems"][0]["reason"] == "FREQ=SOMETIMES is no rule"
    assert answer["profiles"][0]["calendars"][0]["state"] == "fresh"


async def test_a_connection_that_does_not_show_all_of_its_calendars_says_so(served: Served) -> None:
    served.backend.state.connections["anna"].partial = "its server lists only a part of its calendars"
    answer = await served.ask("/v1/status", token=served.backend.token("*", "admin"))
    anna = next(connection for connection in answer.json["connections"] if connection["name"] == "anna")
    assert anna["detail"] == "its server lists only a part of its calendars"


async def test_a_feed_that_no_profile_uses_is_told_as_unused(served: Served) -> None:
    state = served.backend.state
    feed = Connection("holidays", ConnectionKind.ICS, SECRET)
    await state.reconfigure(
        [*(profile_state.connection for profile_state in state.connections.values()), feed],
        [profile_state.profile for profile_state in state.profiles.values()],
    )
    state.connections["holidays"].next_poll = served.backend.clock.now()
    answer = (await served.ask("/v1/status", token=served.backend.token("*", "admin"))).json
    [holidays] = [one for one in answer["connections"] if one["name"] == "holidays"]
    assert (holidays["state"], holidays["last_poll"], holidays["next_poll"]) == ("unused", None, None)
    assert "no profile uses this feed" in holidays["detail"]


async def test_what_could_not_be_read_is_said_wherever_the_calendar_is_named(served: Served) -> None:
    state = served.backend.state
    [number] = [record.id for record in state.calendars.values() if record.label == "anna/Work"]
    state.postponed.add(1, number, why="it was ended by signal 9", now=0.0)
    state.publish()
    status = (await served.ask("/v1/status", token=served.backend.token("*", "admin"))).json
    calendar = status["connections"][0]["calendars"][0]
    assert calendar["note"].startswith("1 object of it could not be read, so its time counts as unavailable")
    assert "signal 9" in calendar["note"]
    assert calendar["detail"] == calendar["note"] == status["profiles"][0]["calendars"][0]["detail"]
    answer = (await served.ask("/v1/profiles/anna/freebusy")).json
    assert answer["calendars"][0]["detail"] == calendar["note"]
    state.postponed.discard(1)
    state.publish()
    assert "detail" not in (await served.ask("/v1/profiles/anna/freebusy")).json["calendars"][0]


async def test_calendars_are_listed_with_all_that_names_them(served: Served) -> None:
    [calendar] = (await served.ask("/v1/calendars", token=served.backend.token("anna", "admin"))).json["calendars"]
    expected = {
        "connection": "anna",
        "name": "Work",
        "id": "1",
        "href": "/anna/calendars/1/",
        "kind": "own",
        "writable": True,
        "transparent": False,
        "linked": True,
        "state": "read",
    }
    assert expected.items() <= calendar.items()


SECRET = "https://calendar.example/private-canary/basic.ics?key=canary"


async def test_the_address_of_a_feed_is_a_secret(served: Served) -> None:
    state = served.backend.state
    feed = RemoteCalendar(SECRET, "anna", CalendarKind.FEED, writable=False)
    state.confirm([replace(state.calendars[1], remote=feed)], monotonic=0.0)
    served.backend.note_problem(1, f"{SECRET}#uid-1")
    token = served.backend.token("*", "admin")
    status, calendars = await served.ask("/v1/status", token=token), await served.ask("/v1/calendars", token=token)
    assert "canary" not in status.text + calendars.text
    shown = calendars.json["calendars"][0]
    assert (shown["id"], shown["href"]) == ("anna", "https://calendar.example/…")
    assert status.json["problems"][0]["href"] == "https://calendar.example/…#uid-1"


@pytest.mark.parametrize(
    ("href", "shown"),
    [
        ("webcal://example.org/holidays.ics", "webcal://example.org/…"),
        ("https://anna:canary@example.org:8443/x", "https://example.org:8443/…"),
        ("https://example.org?key=canary", "https://example.org/…"),
        ("https://[2001:db8::1]/canary", "https://[2001:db8::1]/…"),
    ],
)
def test_of_the_address_of_a_feed_only_the_host_is_shown(href: str, shown: str) -> None:
    assert RemoteCalendar(href, "holidays", CalendarKind.FEED).shown_href == shown


async def test_it_is_ready_once_every_profile_has_a_snapshot(serve: Serve, backend: SmallBackend) -> None:
    served = await serve(backend)
    assert (await served.ask("/healthz")).status == 200
    answer = await served.ask("/readyz")
    assert (answer.status, answer.error) == (503, "not-ready")
    assert "anna, bob" in answer.json["detail"]
    for name in ("anna", "bob"):
        await backend.set_busy(name, [])
    unable = {"profile": "nobody", "state": "unconfigured"}
    assert (await served.ask("/readyz")).json == {"status": "ready", "cannot_answer": [unable]}
    assert (await served.ask("/readyz", token=backend.token("anna"))).json == {"status": "ready"}
    del backend.state.profiles["nobody"]
    for name in ("anna", "bob"):
        backend.confirm(name, None)
    answer = await served.ask("/readyz")
    assert (answer.status, answer.error) == (503, "not-ready")
    assert answer.json["detail"] == "no profile can be answered for: anna (incomplete), bob (incomplete)"


async def test_it_is_not_ready_while_a_profile_is_read_for_the_first_time(served: Served) -> None:
    backend = served.backend
    backend.confirm("bob", None, complete=False)
    answer = await served.ask("/readyz")
    assert (answer.status, answer.error) == (503, "not-ready")
    assert "calendars of bob are being read for the first time" in answer.json["detail"]
    backend.state.connections["bob"].trouble = "its server could not be reached"
    backend.state.publish()
    unable = [{"profile": "bob", "state": "incomplete"}, {"profile": "nobody", "state": "unconfigured"}]
    assert (await served.ask("/readyz")).json == {"status": "ready", "cannot_answer": unable}
    backend.state.connections["bob"].trouble = ""
    backend.state.publish()
    assert (await served.ask("/readyz")).status == 200  # what is added later keeps nobody from being answered


async def test_readiness_names_no_profile_that_the_token_does_not_see(serve: Serve, backend: SmallBackend) -> None:
    served = await serve(backend)
    answer = await served.ask("/readyz", token=backend.token("anna"))
    assert answer.status == 503
    assert "anna" in answer.text
    assert "bob" not in answer.text


async def test_metrics_are_what_prometheus_reads(served: Served) -> None:
    for path in ("/v1/profiles/anna/freebusy", "/v1/profiles/anna/freebusy", "/nothing"):
        await served.ask(path)
    served.backend.state.connections["anna"].last_poll = NOW
    answer = await served.ask("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'busyd_http_requests_total{route="/v1/profiles/{profile}/freebusy",status="200"} 2' in answer.text
    assert 'busyd_http_requests_total{route="none",status="404"} 1' in answer.text
    assert 'busyd_profile_stale{profile="anna"} 0' in answer.text
    assert 'busyd_connection_last_poll_seconds{connection="anna"} 1.7954352e+09' in answer.text
    route = 'route="/v1/profiles/{profile}/freebusy"'
    buckets = [line for line in answer.text.splitlines() if "duration_seconds_bucket" in line and route in line]
    assert any('le="+Inf"' in line and line.endswith(" 2.0") for line in buckets), buckets
    assert "process_resident_memory_bytes " in answer.text
    assert "busyd_config_last_reload_successful 1" in answer.text
    sample = re.compile(r"(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*\})? [-+0-9.e]+)\n")
    assert sample.sub("", answer.text) == ""


async def test_a_sync_tells_line_by_line_how_it_goes(served: Served) -> None:
    answer = await served.ask("/v1/sync", method="POST", token=served.backend.token("*", "admin"))
    lines = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    assert lines[0] == {"connection": "anna", "calendar": "anna/Work", "phase": "done", "done": 1, "total": 1}
    assert lines[-1] == {"finished": True, "failed": []}


async def test_a_sync_names_the_connections_that_failed(served: Served) -> None:
    served.backend.reachable = False
    answer = await served.ask("/v1/sync", method="POST", token=served.backend.token("anna", "admin"))
    lines = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    assert lines[-1] == {"finished": True, "failed": ["anna"]}
    assert {line.get("connection") for line in lines[:-1]} == {"anna"}


async def test_a_sync_names_the_connections_whose_login_was_refused(served: Served) -> None:
    served.backend.reachable = False
    served.backend.state.connections["anna"].trouble_code = "auth.apple.revoked"
    answer = await served.ask("/v1/sync", method="POST", token=served.backend.token("*", "admin"))
    told = msgspec.json.decode(answer.body.splitlines()[-1])
    assert told == {"finished": True, "failed": ["anna", "bob"], "refused": ["anna"]}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_sync_takes_no_form(served: Served, content_type: str) -> None:
    token = served.backend.token("*", "admin")
    async with served.session.post(
        f"http://127.0.0.1:{served.port}/v1/sync",
        headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
        data=b"a=b",
    ) as response:
        assert response.status == 415


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b"null", b"{} {}", b"[" * 100_000])
async def test_a_sync_takes_no_garbage(served: Served, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {served.backend.token('*', 'admin')}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{served.port}/v1/sync"
    async with served.session.post(url, headers=headers, data=body) as response:
        problem = msgspec.json.decode(await response.read())
        assert (response.status, problem["fix"]) == (400, "send {}, or no body at all")


@pytest.mark.parametrize("body", [b"", b"{}", b' {"later": 1}'])
async def test_a_sync_takes_an_object_or_nothing(served: Served, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {served.backend.token('*', 'admin')}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{served.port}/v1/sync"
    async with served.session.post(url, headers=headers, data=body) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/page/style.css", "text/css"), ("/page/page.js", "text/javascript")]
)
async def test_the_page_comes_with_a_policy_that_lets_nothing_else_in(served: Served, path: str, kind: str) -> None:
    answer = await served.ask(path)
    assert answer.headers["Content-Type"].startswith(kind)
    policy = answer.headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
        assert part in policy
    assert "unsafe" not in policy


async def test_a_file_of_the_page_is_fetched_once_and_there_are_no_others(served: Served) -> None:
    answer = await served.ask("/page/page.js")
    assert (await served.ask("/page/page.js", If_None_Match=answer.headers["ETag"])).status == 304
    for name in ("index.html", "README.md", "..%2fapp.py", "vendor"):
        assert (await served.ask(f"/page/{name}")).status == 404


async def test_a_sync_that_breaks_off_says_that_nothing_is_certain(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> list[str]:
        raise RuntimeError("canary")

    monkeypatch.setattr(SmallBackend, "sync_now", fail)
    answer = await served.ask("/v1/sync", method="POST", token=served.backend.token("*", "admin"))
    assert msgspec.json.decode(answer.body) == {"finished": True, "failed": ["anna", "bob"]}


async def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on(served: Served) -> None:
    token = served.backend.token("*", "admin")
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST /v1/sync HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n".encode())
    assert (await read_answer(reader))[0] == 100
    writer.write(b"{}")
    assert (await read_answer(reader))[0] == 200
    writer.close()


async def test_a_refused_reload_is_shown_to_those_who_see_every_profile(served: Served) -> None:
    served.backend.state.refused_configuration = "config.yaml:3:1: unknown key under bob"
    told = await served.ask("/v1/status", token=served.backend.token("*", "admin"))
    assert "config.yaml:3:1" in told.json["configuration"]
    assert "bob" not in (await served.ask("/v1/status", token=served.backend.token("anna", "admin"))).text


async def test_a_reload_tells_what_came_of_it(served: Served) -> None:
    served.backend.reloaded = ReloadOutcome("refused", faults=(ReloadFault("c.yaml", 3, 1, "unknown key"),))
    answer = await served.ask("/v1/reload", method="POST", token=served.backend.token("*", "admin"))
    assert answer.status == 200
    assert answer.json == {
        "outcome": "refused",
        "changed": [],
        "needs_restart": [],
        "faults": [{"file": "c.yaml", "line": 3, "column": 1, "message": "unknown key"}],
        "warnings": [],
        "missing": [],
    }


async def test_a_reload_is_for_who_may_do_everything_for_every_profile(served: Served) -> None:
    for token in (served.backend.token("anna", "admin"), served.backend.token("*", "details", "book", "freebusy")):
        answer = await served.ask("/v1/reload", method="POST", token=token)
        assert (answer.status, answer.error) == (403, "missing-scope")
    assert (await served.ask("/v1/reload", method="POST")).status == 401
    assert (await served.ask("/v1/reload", token=served.backend.token("*", "admin"))).status == 405


async def test_the_renderer_of_metrics_is_not_imported_before_the_first_scrape() -> None:
    code = "import sys, busyd.http.app; sys.exit('prometheus_client' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_problems_are_listed_accepted_and_taken_back(served: Served) -> None:
    served.backend.note_problem(1, "/1.ics")
    token = served.backend.token("anna", "admin")
    (problem,) = (await served.ask("/v1/problems", token=token)).json["problems"]
    assert (problem["calendar"], problem["uid"], problem["incomplete"]) == ("anna/Work", "uid-1", True)
    path = f"/v1/problems/{problem['id']}"
    (accepted,) = (await served.ask(f"{path}/accept", method="POST", token=token)).json["problems"]
    assert accepted == {**problem, "accepted": "2026-11-23T12:00:00Z"}
    assert (await served.ask("/v1/status", token=token)).json["problems"] == [accepted]
    assert "busyd_problems 0" in (await served.ask("/metrics")).text
    (again,) = (await served.ask(f"{path}/withdraw", method="POST", token=token)).json["problems"]
    assert again == problem
    twice = await served.ask(f"{path}/withdraw", method="POST", token=token)
    assert (twice.status, twice.error) == (409, "nothing-to-accept")


async def test_a_problem_of_somebody_elses_calendar_can_be_neither_seen_nor_accepted(served: Served) -> None:
    served.backend.note_problem(1, "/1.ics")
    (view,) = served.backend.problems()
    bob, details = served.backend.token("bob", "admin"), served.backend.token("anna", "details")
    assert (await served.ask("/v1/problems", token=bob)).json == {"problems": []}
    for action in ("accept", "withdraw"):
        path = f"/v1/problems/{view.id}/{action}"
        answer = await served.ask(path, method="POST", token=bob)
        assert (answer.status, answer.error) == (404, "unknown-problem")
        assert (await served.ask(path, method="POST", token=details)).status == 403
        assert (await served.ask(path, method="POST")).status == 401


async def test_the_status_of_one_profile_is_that_of_the_connections_it_uses(served: Served) -> None:
    served.backend.note_problem(1, "/anna/a.ics")
    token = served.backend.token("*", "admin")
    answer = (await served.ask("/v1/status?profile=bob", token=token)).json
    assert [one["name"] for one in answer["profiles"]] == ["bob"]
    assert [one["name"] for one in answer["connections"]] == ["bob"]
    assert answer["problems"] == []
    answer = (await served.ask("/v1/status?profile=anna", token=token)).json
    assert len(answer["problems"]) == 1


async def test_the_status_of_one_connection_is_that_of_the_profiles_that_use_it(served: Served) -> None:
    token = served.backend.token("*", "admin")
    answer = (await served.ask("/v1/status?connection=anna", token=token)).json
    assert [one["name"] for one in answer["profiles"]] == ["anna"]
    assert [one["name"] for one in answer["connections"]] == ["anna"]
    refused = await served.ask("/v1/status?connection=anna&profile=bob", token=token)
    assert (refused.status, refused.error) == (404, "unknown-connection")


@pytest.mark.parametrize(
    ("query", "name"), [("profile=bob", "unknown-profile"), ("connection=bob", "unknown-connection")]
)
async def test_what_a_token_may_not_see_is_not_there_for_the_status(served: Served, query: str, name: str) -> None:
    answer = await served.ask(f"/v1/status?{query}", token=served.backend.token("anna", "details"))
    assert (answer.status, answer.error) == (404, name)


async def test_webhooks_are_told_to_administrators_of_their_profile_without_the_path_of_the_receiver(
    served: Served,
) -> None:
    failing = WebhookProgress(0, failing_since=NOW, attempts=3, detail="receiver.example answered 500")
    await served.backend.add_webhook("hook", progress=failing)
    answer = await served.ask("/v1/status", token=served.backend.token("anna", "admin"))
    assert answer.json["webhooks"] == [
        {
            "id": "hook",
            "profile": "anna",
            "host": "receiver.example",
            "events": ["busy", "free", "appointment", "connection"],
            "state": "failing",
            "detail": "receiver.example answered 500",
            "fix": "see what its receiver says, and try it with `busyd webhook test hook`; "
            "`busyd webhook replay hook` delivers at once",
            "since": "2026-11-23T12:00:00Z",
            "attempts": 3,
            "next_attempt": None,
            "delivered": None,
            "behind": 0,
        }
    ]
    for profile, scope, path in (
        ("anna", "details", "/v1/status"),
        ("bob", "admin", "/v1/status"),
        ("*", "admin", "/v1/status?profile=bob"),
        ("*", "admin", "/v1/status?connection=anna"),
    ):
        assert (await served.ask(path, token=served.backend.token(profile, scope))).json["webhooks"] == []


SHARING = SharingView(
    daemons=[
        DaemonView(
            "one:/var/lib/busyd",
            "127.0.0.1:8377",
            until=Instant(NOW + 27),
            connections=2,
            is_this=True,
            same_configuration=True,
        ),
        DaemonView(
            "two:/var/lib/busyd",
            "https://two.example",
            until=Instant(NOW - 4),
            connections=0,
            is_this=False,
        ),
    ],
    followed_at=-3.5,
    oldest_write=12.9,
    clock_ahead=-600,
)


async def test_the_daemons_on_one_database_are_told_to_administrators_of_everything(served: Served) -> None:
    served.backend.sharing = SHARING
    answer = await served.ask("/v1/status", token=served.backend.token("*", "admin"))
    assert answer.json["sharing"] == {
        "daemons": [
            {
                "name": "one:/var/lib/busyd",
                "address": "127.0.0.1:8377",
                "until": "2026-11-23T12:00:27Z",
                "connections": 2,
                "this": True,
                "same_configuration": True,
            },
            {
                "name": "two:/var/lib/busyd",
                "address": "https://two.example",
                "until": "2026-11-23T11:59:56Z",
                "connections": 0,
                "this": False,
                "same_configuration": None,
            },
        ],
        "behind": 3,
        "oldest_write": 12,
        "clock_ahead": -600,
    }
    for profile, scope in (("anna", "admin"), ("*", "details")):
        answer = await served.ask("/v1/status", token=served.backend.token(profile, scope))
        assert "sharing" not in answer.json


async def test_that_nothing_could_be_stored_lately_is_told_to_administrators_of_everything(served: Served) -> None:
    backend = served.backend
    assert "storage" not in (await served.ask("/v1/status", token=backend.token("*", "admin"))).json
    backend.storage.note(OutOfSpace("the ledger cannot be used: full", fix="free some space"), now=backend.clock.now())
    told = {"last": "2026-11-23T12:00:00Z", "detail": "the ledger cannot be used: full", "fix": "free some space"}
    assert (await served.ask("/v1/status", token=backend.token("*", "admin"))).json["storage"] == told
    for profile, scope in (("anna", "admin"), ("*", "details")):
        assert "storage" not in (await served.ask("/v1/status", token=backend.token(profile, scope))).json
    assert '\nbusyd_storage_failures_total{reason="out-of-space"} 1.0\n' in (await served.ask("/metrics")).text
    backend.clock.advance(3600)
    assert "storage" not in (await served.ask("/v1/status", token=backend.token("*", "admin"))).json


async def test_a_daemon_that_has_its_stores_to_itself_tells_of_no_others(served: Served) -> None:
    answer = await served.ask("/v1/status", token=served.backend.token("*", "admin"))
    assert "sharing" not in answer.json
    assert "busyd_daemons" not in (await served.ask("/metrics")).text


async def test_metrics_tell_how_many_daemons_live_and_how_far_behind_this_one_is(served: Served) -> None:
    served.backend.sharing = SHARING
    text = (await served.ask("/metrics")).text
    for sample in (
        "busyd_daemons 1.0",
        "busyd_connections_owned 2.0",
        "busyd_follow_age_seconds 3.5",
        "busyd_database_oldest_write_seconds 12.9",
        "busyd_clock_ahead_seconds -600.0",
    ):
        assert f"\n{sample}\n" in text
    served.backend.sharing = SharingView()
    assert "busyd_follow_age_seconds" not in (await served.ask("/metrics")).text
