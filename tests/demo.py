"""`scripts/demo`: a simulated iCloud with realistic data, and busyd against it, until Ctrl-C."""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from busyd.running import holder_of
from tests.icloud.live_on import live_on
from tests.icloud.realistic_account import build_realistic_account
from tests.icloud.server import SimulatedIcloud

REPOSITORY: Final = Path(__file__).parents[1]
DEMOS: Final = REPOSITORY / ".demo"
"""A folder for each port, so that no demo touches another's state."""
ZONE: Final = "Europe/Berlin"
"""Where Anna lives."""
CONFIG: Final = """\
# Written by scripts/demo. The account and its app-specific password are simulated.
listen: 127.0.0.1:{port}
connections:
  anna:
    kind: icloud
    url: {url}
    username: {user}
    password: {{file: {password}}}
    poll: 5s
    allow_private: true
profiles:
  anna:
    timezone: {zone}
    primary: anna/Work
    conflicts: ["anna/*"]
    hours: {{mon-fri: ["09:00-12:00", "13:00-17:00"]}}
"""
TRY: Final = """
busyd answers for the simulated account of {user}:

  page      {base}/
  busy      curl '{base}/v1/profiles/anna/freebusy?start=now&end=%2B7d'
  as iCal   curl '{base}/v1/profiles/anna/freebusy.ifb?start=now&end=%2B7d'
  slots     curl '{base}/v1/profiles/anna/slots?start=now&end=%2B3d&duration=30m'
  feed      {base}{feed}
  why       .venv/bin/busyd --config {config} --state {state} explain anna
  doctor    .venv/bin/busyd --config {config} --state {state} doctor

An event in the account changes every {every:g} seconds; busyd polls every 5 seconds. Times below are those of {zone},
where Anna lives; answers over HTTP are in UTC. Ctrl-C stops both.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8377, help="where busyd listens (default 8377)")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between changes in the account")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_demo(parser.parse_args()))


async def _demo(wanted: argparse.Namespace) -> None:
    folder = DEMOS / str(wanted.port)
    _refuse_second(wanted.port, folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _say("starting the simulated iCloud ...")
    async with SimulatedIcloud.start() as icloud:
        anna = build_realistic_account(icloud, datetime.now(UTC).date())
        config, state, password = folder / "config.yaml", folder / "state", folder / "password"
        password.touch(mode=0o600)
        password.write_text(f"{anna.password}\n")
        settings = {"port": wanted.port, "url": icloud.bootstrap_url, "user": anna.user, "zone": ZONE}
        config.write_text(CONFIG.format(**settings, password=json.dumps(str(password))))
        busyd = [sys.executable, "-m", "busyd", "--config", str(config), "--state", str(state)]
        daemon = await asyncio.create_subprocess_exec(*busyd, "run")
        try:
            base = f"http://127.0.0.1:{wanted.port}"
            _say("starting busyd, and waiting until it has read every calendar ...")
            await _until_ready(daemon, base)
            told = await asyncio.create_subprocess_exec(
                *busyd,
                "token",
                "add",
                "anna",
                "--name",
                "demo",
                "--json",
                stdout=asyncio.subprocess.PIPE,
            )
            token = json.loads((await told.communicate())[0])
            places = {"config": config.relative_to(REPOSITORY), "state": state.relative_to(REPOSITORY), "zone": ZONE}
            _say(TRY.format(user=anna.user, base=base, feed=token["feed"], every=wanted.every, **places))
            await _live_until_stopped(live_on(anna, every=wanted.every, say=_say, zone=ZoneInfo(ZONE)), daemon)
            if daemon.returncode is not None:
                sys.exit(f"busyd ended by itself, with status {daemon.returncode}; see its last lines")
        finally:
            if daemon.returncode is None:
                daemon.terminate()
            await daemon.wait()


def _refuse_second(port: int, folder: Path) -> None:
    """Leave a demo that is running alone, and its state."""
    if (process := holder_of(folder / "state")) is not None:
        sys.exit(f"a demo already runs on this port (process {process}): stop it with Ctrl-C, or pass another --port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            sys.exit(f"127.0.0.1:{port} cannot be used ({error.strerror}): pass another --port")


async def _live_until_stopped(life: Coroutine[object, None, None], daemon: asyncio.subprocess.Process) -> None:
    """Go on until Ctrl-C, SIGTERM, or the end of the daemon."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waiting = [asyncio.create_task(life), asyncio.create_task(_wait(daemon)), asyncio.create_task(_wait(stop))]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _wait(something: asyncio.subprocess.Process | asyncio.Event) -> None:
    await something.wait()


async def _until_ready(daemon: asyncio.subprocess.Process, base: str) -> None:
    for _ in range(300):
        if daemon.returncode is not None:
            sys.exit(f"busyd exited with status {daemon.returncode}; see its last lines")
        if await asyncio.to_thread(_is_ready, base):
            return
        await asyncio.sleep(0.1)
    sys.exit("busyd did not become ready within 30 seconds")


def _is_ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
