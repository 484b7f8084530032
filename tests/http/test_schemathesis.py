"""Schemathesis reads our own description and looks for requests whose answer it does not allow.

It runs as a process of its own: its clients wait for answers that this loop gives, and its import takes a second.
"""

import asyncio
import re
import sys
from pathlib import Path

from busyd.flow.explain import Explained
from busyd.http.settings import Limits
from busyd.period import Instant
from busyd.store.acceptances import problem_id
from tests.http.conftest import Serve, Served
from tests.http.small_backend import busy

EXAMPLES = 15
"""Of every address, for each of the two ways: as described, and not quite."""
CONFIGURATION = """\
headers = {{ Authorization = "Bearer {token}", Accept = "application/json" }}
checks.positive_data_acceptance.enabled = false  # a schema cannot say that the start comes before the end
checks.negative_data_rejection.expected-statuses = ["4xx", "5xx"]  # 414 where what is too long is in the address
checks.allow_header_conformance.enabled = false  # OpenAPI has no PROPFIND, which the root answers, too

[[operations]]
include-path = "/v1/profiles/{{profile}}/appointments"
include-method = "POST"
checks.not_a_server_error.enabled = false  # there is no server here to write to

[phases]
examples.enabled = false
stateful.enabled = false

[dictionaries]
people.values = ["anna"]
modes.values = ["all", "any", "n:1"]
problems.values = ["{problem}"]
blocks.values = ["{block}"]
holds.values = ["{hold}"]
tokens.values = ["{token}"]
files.values = ["page.js", "style.css"]
starts.values = ["now", "2026-11-23", "2026-11-23T09:00:00+01:00", "2026-02-30"]
ends.values = ["+7d", "2026-11-30", "2026-11-30T12:00:00Z"]

[parameters]
"path.profile" = {{ dictionary = "people", probability = 0.8 }}
"path.problem" = {{ dictionary = "problems", probability = 0.8 }}
"path.block" = {{ dictionary = "blocks", probability = 0.8 }}
"path.hold" = {{ dictionary = "holds", probability = 0.8 }}
"path.file" = {{ dictionary = "files", probability = 0.8 }}
"path.token" = {{ dictionary = "tokens", probability = 0.8 }}
"query.profiles" = {{ dictionary = "people", probability = 0.8 }}
"query.mode" = {{ dictionary = "modes", probability = 0.8 }}
"query.start" = {{ dictionary = "starts", probability = 0.5 }}
"query.end" = {{ dictionary = "ends", probability = 0.5 }}
"""
QUIET = ["--no-color", "--no-shrink", "--warnings=off"]


async def test_no_request_gets_an_answer_that_the_description_does_not_allow(serve: Serve, tmp_path: Path) -> None:
    # Schemathesis tries wrong tokens too, and is not to wait after each.
    served = await serve(limits=Limits(wrong_tokens=100_000))
    start, end, kind = busy(21)
    told = ("anna/Work", "uid-1", "/1.ics", "Dentist", "")
    served.backend.explained = [Explained(*told, Instant(start), Instant(end), kind, "opaque", "", "")]
    served.backend.note_problem(1, "/1.ics")
    status, report = await run_schemathesis(served, tmp_path)
    assert status == 0, report
    answers = await counted(served)
    assert {route for route, status in answers if status >= "500"} <= {"/v1/profiles/{profile}/appointments"}
    # A reload is for a token of all profiles, which in turn has no feed; nothing can be written here; and some answer
    # with another status than 200.
    single = "/v1/profiles/{profile}/appointments/{appointment}"
    others = {"/v1/reload", "/v1/logins", "/v1/tokens/{token}", "/logout", single}
    expected = {one.path for one in served.endpoint.routes.all} - others
    assert {route for route, status in answers if status == "200"} == expected


async def counted(served: Served) -> set[tuple[str, str]]:
    """The addresses that were asked, each with a status it gave."""
    told = (await served.ask("/metrics")).text
    return set(re.findall(r'busyd_http_requests_total\{route="([^"]*)",status="(\d+)"\}', told))


async def run_schemathesis(served: Served, folder: Path) -> tuple[int, str]:
    """Its exit status, 0 when it found nothing, and what it has to say."""
    token = served.backend.token("anna", "freebusy", "details", "admin", "book")
    span = {"start": "2026-11-25", "end": "2026-11-26"}
    made = await served.ask("/v1/profiles/anna/blocks", method="POST", token=token, body=span)
    start = {"start": "2026-11-27T10:00:00Z"}
    held = await served.ask("/v1/profiles/anna/holds", method="POST", token=token, body=start)
    configuration = folder / "schemathesis.toml"
    configuration.write_text(
        CONFIGURATION.format(
            token=token, problem=problem_id("/1.ics", '"1"'), block=made.json["id"], hold=held.json["id"]
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"),
        *(f"http://127.0.0.1:{served.port}/openapi.json", f"--max-examples={EXAMPLES}", "--generation-deterministic"),
        *QUIET,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    return process.returncode or 0, report.decode()
