"""What is shipped for monitoring fits what busyd exposes, and what the README says of data is what runs says."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from busyd.flow.sharing import DaemonView, SharingView
from busyd.store.webhooks import WebhookProgress
from tests.http.conftest import Served
from tests.http.small_backend import NOW
from tests.skips import skip

REPOSITORY = Path(__file__).parents[2]
DASHBOARD = REPOSITORY / "config" / "monitoring" / "grafana-dashboard.json"
ALERTS = REPOSITORY / "config" / "monitoring" / "alerts.yaml"
_METRIC = re.compile(r"\b((?:busyd|process)_[a-z_]+)")
_OF_PROMETHEUS = {"up"}


async def known_metrics(served: Served) -> set[str]:
    served.backend.state.connections["anna"].polls.count(0.1)
    served.backend.reloads.outcomes["applied"] += 1
    served.endpoint.gate.crashes.total += 1
    served.backend.sharing = SharingView((DaemonView("one", "", NOW, 1, is_this=True),), followed_at=0.0)
    await served.backend.add_webhook("hook", progress=WebhookProgress(0))
    await served.ask("/v1/profiles/anna/freebusy")
    text = (await served.ask("/metrics")).text
    return {line.partition(" ")[0].partition("{")[0] for line in text.splitlines() if not line.startswith("#")}


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    return [*shown, *rules]


async def test_dashboard_and_alerts_ask_only_for_metrics_that_there_are(served: Served) -> None:
    known = await known_metrics(served)
    asked = {name for expression in expressions() for name in _METRIC.findall(expression)}
    assert asked - known == set()


def test_the_alert_rules_are_accepted_by_promtool() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_expressions_of_the_dashboard_are_accepted_by_promtool(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip("promtool is not installed (Debian: prometheus)")
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


async def test_the_table_of_directions_in_the_readme_is_what_runs_says(served: Served) -> None:
    answer = (await served.ask("/v1/capabilities", token=served.backend.token("anna"))).json
    told = [(row["direction"], row["what"], row["where"]) for row in answer["directions"]]
    section = (REPOSITORY / "README.md").read_text().partition("## What it reads, writes and never stores\n")[2]
    rows = re.findall(
        r"^\| (reads|writes|never stores) \| (.+?) \| (.+?) \|$", section.partition("\n## ")[0], re.MULTILINE
    )
    assert rows == told
    assert answer["kinds"] == ["caldav"]


async def test_whatever_writes_to_a_server_is_among_the_directions(served: Served) -> None:
    """A path that writes appointments must not be added without telling."""
    paths: dict[str, Any] = (await served.ask("/openapi.json")).json["paths"]
    told = (await served.ask("/v1/capabilities", token=served.backend.token("anna"))).json
    writes = {row["what"] for row in told["directions"]}
    if "post" in paths.get("/v1/profiles/{profile}/appointments", {}):
        assert any("appointments" in what for what in writes)
