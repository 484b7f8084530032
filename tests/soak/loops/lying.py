"""Have CalDAV servers lie to a real daemon, and count for how long each made busy time look free."""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from busyd.period import Instant, to_rfc3339
from tests.lying.harness import Moment, Told, history
from tests.lying.kinds import ALL
from tests.lying.server import Closes, Hangs, LyingServer
from tests.ports import free_port

SECONDS_TO_READ: Final = 60


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak lying", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a server (default: all), see tests/lying")
    parser.add_argument("--seconds", type=float, default=170, help="how long they lie (default: 170)")
    parser.add_argument("--settle", type=float, default=0, help="how long they do not before (default: 0)")
    wanted = parser.parse_args(arguments)
    return 1 if asyncio.run(run(wanted.names, seconds=wanted.seconds, settle=wanted.settle)) else 0


@asynccontextmanager
async def serving(servers: Sequence[LyingServer]) -> AsyncIterator[int]:
    """All of them behind one port."""
    accounts = {server.base.strip("/"): server for server in servers}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        server = accounts.get(request.raw_path.split("/")[1])
        if server is None:
            return web.Response(status=404)
        try:
            reply = server.answer(request.method, request.raw_path, (await request.read()).decode())
        except Hangs:
            await asyncio.sleep(600)
            raise
        except Closes:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, body=reply.body.encode(), headers=dict(reply.headers))

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def configuration(servers: Sequence[LyingServer], *, port: int, listen: int) -> dict[str, Any]:
    connections: dict[str, Any] = {}
    profiles: dict[str, Any] = {}
    for server in servers:
        name = server.base.strip("/")
        url = f"http://127.0.0.1:{port}{server.base}{server.path}"
        connections[name] = {
            "kind": "caldav", "url": url, "username": "u", "password": {"env": "PASSWORD"}, "poll": "5s"
        }  # fmt: skip
        rules = {f"{name}/{calendar}": {"all_day": rules.all_day} for calendar, rules in server.rules.items()}
        profiles[name] = {"timezone": "UTC", "max_age": "20s", "conflicts": [f"{name}/{server.conflicts}"]}
        if rules:
            profiles[name]["calendars"] = rules
    return {"listen": f"127.0.0.1:{listen}", "connections": connections, "profiles": profiles}


async def watch(servers: Sequence[LyingServer], *, listen: int, seconds: float, settle: float) -> int:
    """Ask for each account once a second. How many made busy time look free for longer than they may."""
    moments: dict[str, list[Moment]] = {server.base: [] for server in servers}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listen}") as session:
        for _ in range(2 * SECONDS_TO_READ):
            await asyncio.sleep(0.5)
            told = [await _ask(session, server) for server in servers]
            if all(one is not None and one.complete for one in told):
                break
        await asyncio.sleep(settle)
        for server in servers:
            server.start_lying()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            for server in servers:
                one = await _ask(session, server)
                if one is not None:
                    moments[server.base].append(Moment(round(server.passed), one, server.is_busy()))
            await asyncio.sleep(1)
    excesses = 0
    for server in servers:
        seen = moments[server.base]
        false = sum(after.at - one.at for one, after in pairwise(seen) if one.is_falsely_free)
        excesses += false > server.allowed
        verdict = "" if false <= server.allowed else f"  more than {server.allowed}"
        print(f"{type(server).__name__:32} falsely free {false:4.0f} s{verdict:16} {history(seen)}")
    print(f"servers: {len(servers)}; falsely free for longer than allowed: {excesses}")
    return excesses


async def _ask(session: aiohttp.ClientSession, server: LyingServer) -> Told | None:
    start = Instant(server.day + 3600 * server.hour)
    window = {"start": to_rfc3339(start), "end": to_rfc3339(Instant(start + 3600))}
    try:
        async with session.get(f"/v1/profiles{server.base}/freebusy", params=window) as response:
            told = await response.json()
            return Told(not told["busy"], told["complete"], told["stale"]) if response.status == 200 else None
    except aiohttp.ClientError:
        return None


async def run(names: Sequence[str], *, seconds: float, settle: float) -> int:
    day = int(time.time()) // 86_400 * 86_400 + 86_400
    servers = [kind(time.monotonic, day=day) for kind in ALL if not names or kind.__name__ in names]
    listen = free_port()
    with tempfile.TemporaryDirectory() as folder:
        async with serving(servers) as port:
            path = write(folder, configuration(servers, port=port, listen=listen))
            command = (sys.executable, "-m", "busyd", "--config", path, "--state", f"{folder}/state", "run")
            environment, silent = {**os.environ, "PASSWORD": "canary"}, asyncio.subprocess.DEVNULL
            daemon = await asyncio.create_subprocess_exec(*command, env=environment, stdout=silent, stderr=silent)
            try:
                return await watch(servers, listen=listen, seconds=seconds, settle=settle)
            finally:
                daemon.send_signal(signal.SIGTERM)
                await daemon.wait()


def write(folder: str, settings: dict[str, Any]) -> str:
    """JSON is YAML."""
    path = Path(folder, "config.yaml")
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    return str(path)
