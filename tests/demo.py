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
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from busyd.credentials.files import KEY_FILE
from busyd.running import holder_of
from tests.icloud.accounts import Account
from tests.icloud.apple_text import calendar, event, timed
from tests.icloud.live_on import live_on
from tests.icloud.realistic_account import build_realistic_account
from tests.icloud.server import SimulatedIcloud

REPOSITORY: Final = Path(__file__).parents[1]
DEMOS: Final = REPOSITORY / ".demo"
"""A folder for each port, so that no demo touches another's state."""
ZONE: Final = "Europe/Berlin"
"""Where Anna lives."""
COLLEAGUES: Final = ("ben", "cleo", "dana", "emil", "fay")
"""With accounts of their own, so that each of several daemons has some to poll."""
SEVERAL: Final = 3
"""Daemons on one database."""
CONFIG: Final = """\
# Written by scripts/demo. The accounts and their app-specific passwords are simulated.
listen: 127.0.0.1:{port}
{store}connections:
{connections}profiles:
{profiles}"""
CONNECTION: Final = """\
  {name}:
    kind: icloud
    url: {url}
    username: {user}
    password: {{{password}}}
    poll: 5s
    allow_private: true
"""
PROFILE: Final = """\
  {name}:
    timezone: {zone}
    primary: {name}/Work
    conflicts: ["{name}/*"]
    hours: {{mon-fri: ["09:00-12:00", "13:00-17:00"]}}
"""
TRY: Final = """
busyd answers for the simulated account of {user}:

  page      {base}/
  busy      curl '{base}/v1/profiles/anna/freebusy?start=now&end=%2B7d'
  as iCal   curl '{base}/v1/profiles/anna/freebusy.ifb?start=now&end=%2B7d'
  slots     curl '{base}/v1/profiles/anna/slots?start=now&end=%2B3d&duration=30m'
  feed      {base}{feed}
  why       {busyd} explain anna
  doctor    {busyd} doctor

An event in the account changes every {every:g} seconds; busyd polls every 5 seconds. Times below are those of {zone},
where Anna lives; answers over HTTP are in UTC. Ctrl-C stops both.
"""
TRY_SEVERAL: Final = """
{count} daemons share one database, and answer for {accounts} simulated accounts. Any of them answers for all:

  busy      curl '{base}/v1/profiles/anna/freebusy?start=now&end=%2B7d'
            curl '{other}/v1/profiles/anna/freebusy?start=now&end=%2B7d'
  feed      {other}{feed}
  who polls {busyd} status
  kill one  kill -9 {process}
            and look at the status again: half a minute later the others poll what it has polled
  start it  {again} run
  password  {busyd} credential list
            they are in the database, encrypted; set on one machine, a password is used on all of them
  database  psql '{database}'

Events in the accounts change every {every:g} seconds; busyd polls every 5 seconds. Ctrl-C stops everything.
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one daemon is."""

    port: int

    @property
    def folder(self) -> Path:
        return DEMOS / str(self.port)

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def arguments(self) -> list[str]:
        return ["--config", str(self.config), "--state", str(self.state)]

    @property
    def command(self) -> str:
        """As a person types it in the repository."""
        words = ("--config", self.config.relative_to(REPOSITORY), "--state", self.state.relative_to(REPOSITORY))
        return " ".join(map(str, (".venv/bin/busyd", *words)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8377, help="where busyd listens (default 8377)")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between changes in the account")
    parser.add_argument(
        "--postgresql",
        action="store_true",
        help=f"{SEVERAL} daemons, on this port and the next ones, on a PostgreSQL server that is started for them",
    )
    wanted = parser.parse_args()
    places = [_Place(wanted.port + number) for number in range(SEVERAL if wanted.postgresql else 1)]
    for place in places:
        _refuse_second(place.port, place.folder)
    with _store(is_wanted=wanted.postgresql) as store, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_demo(places, every=wanted.every, store=store))


@contextlib.contextmanager
def _store(*, is_wanted: bool) -> Iterator[str]:
    """The address of a database of the demo's own; empty where the state directory will do."""
    if not is_wanted:
        yield ""
        return
    from tests.postgres import find_programs, running  # with its library, which nobody else needs here

    if find_programs() is None:
        sys.exit("PostgreSQL is not installed: sudo apt-get install postgresql")
    _say("starting a PostgreSQL server ...")
    with running() as server:
        yield server.new_database().conninfo


async def _demo(places: Sequence[_Place], *, every: float, store: str) -> None:
    _say("starting the simulated iCloud ...")
    async with SimulatedIcloud.start() as icloud:
        today = datetime.now(UTC).date()
        accounts = {"anna": build_realistic_account(icloud, today)}
        if len(places) > 1:
            accounts |= {name: _build_colleague(icloud, name, today=today) for name in COLLEAGUES}
        for place in places:
            _configure(place, accounts, url=icloud.bootstrap_url, store=store)
        busyd = (sys.executable, "-m", "busyd")
        if store:
            await _store_passwords(places, accounts)
        daemons = [await asyncio.create_subprocess_exec(*busyd, *place.arguments, "run") for place in places]
        try:
            _say("starting busyd, and waiting until it has read every calendar ...")
            for place, daemon in zip(places, daemons, strict=True):
                await _until_ready(daemon, place.base)
            adding = (*busyd, *places[0].arguments, "token", "add", "anna", "--name", "demo", "--json")
            told = await asyncio.create_subprocess_exec(*adding, stdout=asyncio.subprocess.PIPE)
            feed = json.loads((await told.communicate())[0])["feed"]
            first, last = places[0], places[-1]
            common = {"base": first.base, "feed": feed, "busyd": first.command}
            if first is last:
                _say(TRY.format(user=accounts["anna"].user, zone=ZONE, every=every, **common))
            else:
                others = {"other": last.base, "again": last.command, "process": daemons[-1].pid, "database": store}
                text = TRY_SEVERAL.format(count=len(places), accounts=len(accounts), every=every, **others, **common)
                _say(text)
            lives = [_live_on(name, account, every=every) for name, account in accounts.items()]
            await _live_until_stopped(lives, daemons)
            if all(daemon.returncode is not None for daemon in daemons):
                sys.exit(f"busyd ended by itself, with status {daemons[0].returncode}; see its last lines")
        finally:
            for daemon in daemons:
                if daemon.returncode is None:
                    daemon.terminate()
            for daemon in daemons:
                await daemon.wait()


async def _live_on(name: str, account: Account, *, every: float) -> None:
    await live_on(account, every=every, say=lambda line: _say(f"{name}: {line}"), zone=ZoneInfo(ZONE))


def _configure(place: _Place, accounts: dict[str, Account], *, url: str, store: str) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    connections = []
    for name, account in accounts.items():
        password = f"credential: {name}"
        if not store:
            file = place.folder / f"password-{name}"
            file.touch(mode=0o600)
            file.write_text(f"{account.password}\n")
            password = f"file: {json.dumps(str(file))}"
        settings = {"name": name, "url": url, "user": account.user, "password": password}
        connections.append(CONNECTION.format(**settings))
    profiles = [PROFILE.format(name=name, zone=ZONE) for name in accounts]
    at = f"store: {json.dumps(store)}\n" if store else ""
    text = CONFIG.format(port=place.port, store=at, connections="".join(connections), profiles="".join(profiles))
    place.config.write_text(text)


async def _store_passwords(places: Sequence[_Place], accounts: dict[str, Account]) -> None:
    """In the database, on the first machine; the others get its key."""
    first, *others = places
    for name, account in accounts.items():
        setting = (sys.executable, "-m", "busyd", *first.arguments, "credential", "set", name)
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        storing = await asyncio.create_subprocess_exec(*setting, stdin=pipe, stdout=nowhere)
        await storing.communicate(f"{account.password}\n".encode())
    for place in others:
        place.state.mkdir(mode=0o700)
        shutil.copy(first.state / KEY_FILE, place.state / KEY_FILE)


def _build_colleague(icloud: SimulatedIcloud, name: str, *, today: date) -> Account:
    account = icloud.add_account(f"{name}@icloud.com", dsid=str(300000002 + COLLEAGUES.index(name)))
    work = account.add_calendar("Work", id="work")
    for number in range(5):
        when = timed(today + timedelta(days=number), f"{10 + number}:30", end=f"{11 + number}:15")
        work.put(f"MEETING-{number}.ics", calendar(event(f"{name}-{number}", "Meeting", when)))
    return account


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


async def _live_until_stopped(
    lives: Sequence[Coroutine[object, None, None]], daemons: Sequence[asyncio.subprocess.Process]
) -> None:
    """Go on until Ctrl-C, SIGTERM, or the end of the last daemon."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = [*lives, _wait(stop), _wait_for_all(daemons)]
    waiting = [asyncio.create_task(one) for one in work]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _wait_for_all(daemons: Sequence[asyncio.subprocess.Process]) -> None:
    for daemon in daemons:
        await daemon.wait()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


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
