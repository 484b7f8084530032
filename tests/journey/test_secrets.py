"""Planted secrets are in nothing that busyd prints, logs, answers or keeps in clear, at any level."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for

FEED_SECRET = "s3cret-feed-4711"
WRONG = "wxyz-wxyz-wxyz-wxyz"
CONFIG = """
log: {log}
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}}}
  wrong: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: WRONG}}}}
  feed: {{kind: ics, url: "{url}{secret}/x.ics", allow_private: true}}
profiles:
  anna: {{conflicts: [anna/Work, wrong/Work, feed]}}
"""
COMMANDS = (
    ["status"],
    ["status", "--json"],
    ["check"],
    ["check", "--json"],
    ["check", "--online"],
    ["check", "--online", "--json"],
    ["calendars", "--json"],
    ["connection", "list", "--json"],
    ["config", "show", "--origin"],
    ["token", "list", "--json"],
    ["freebusy", "anna"],
    ["explain", "anna", "--json"],
    ["problems", "list", "--json"],
    ["sync", "--now"],
    ["reload", "--json"],
    ["doctor"],
)
PATHS = ("/v1/status", "/v1/calendars", "/v1/capabilities", "/metrics", "/readyz", "/openapi.json", "/v1/changes")


@pytest.fixture(params=["text", "json"])
def busyd(request: pytest.FixtureRequest, tmp_path: Path, icloud: SimulatedIcloud) -> Iterator[Busyd]:
    environment = {"APPLE": PASSWORD, "WRONG": WRONG, "BUSYD_LOG": "debug"}
    with busyd_in(tmp_path, environment=environment) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url, secret=FEED_SECRET, log=request.param))
        yield busyd


def test_no_planted_secret_is_anywhere(busyd: Busyd) -> None:
    busyd.start()
    wait_for(lambda: busyd.status()["connections"][1]["detail"] and busyd.status()["connections"][2]["detail"])
    made = json.loads(busyd.command("token", "add", "anna", "--scope", "freebusy,details", "--json").stdout)
    secrets = {PASSWORD, PASSWORD.replace("-", ""), WRONG, FEED_SECRET, made["token"].split("_", 2)[2]}
    secrets.add(busyd.admin_token().split("_", 2)[2])
    seen = {"log": ""}
    for words in COMMANDS:
        ran = busyd.command("-v", *words)
        seen[" ".join(words)] = ran.stdout + ran.stderr
    for path in PATHS:
        seen[path] = _ask(busyd, path, busyd.admin_token())
    _ask(busyd, f"/feeds/{made['token']}.ics", "")
    _ask(busyd, "/v1/status", made["token"] + "x")
    assert busyd.process is not None
    line = Path(f"/proc/{busyd.process.pid}/cmdline").read_text()
    busyd.stop()
    seen |= {"log": busyd.log.read_text(), "command line": line}
    told = {(place, secret) for place, text in seen.items() for secret in secrets if secret in text}
    assert told == set()
    kept = {path.name: path.read_bytes() for path in busyd.state.rglob("*") if path.is_file()}
    in_clear = {name for name, content in kept.items() for one in (PASSWORD, WRONG) if one.encode() in content}
    assert in_clear == set()
    assert made["token"].split("_", 2)[2].encode() not in kept["ledger.sqlite3"]


def _ask(busyd: Busyd, path: str, token: str) -> str:
    login = ["-H", f"Authorization: Bearer {token}"] if token else []
    accept = ["-H", "Accept: application/json"]
    done = subprocess.run(
        ["curl", "-sg", "--max-time", "20", "-D", "-", *login, *accept, busyd.base + path],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
