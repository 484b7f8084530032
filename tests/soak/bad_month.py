"""busyd as its users start it, in virtual time, in the life of a person with a bad network. `python -m
tests.soak.bad_month OPTIONS -- run ...`.

Every minute of the life something may happen: readers ask, the person changes calendars on a phone, appointments are
booked, servers fail for a while in many ways, the machine sleeps, the configuration is reloaded.
"""

import argparse
import asyncio
import functools
import gc
import json
import os
import random
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.icloud.apple_text import calendar, event, utc
from tests.soak.virtual_time import Time, VirtualLoop

MINUTES: Final = 1440
USER: Final = "anna@icloud.com"
CALENDARS: Final = ("work", "home")
FEED: Final = "/holidays/de_de.ics"
REFUSED: Final = frozenset({409, 422, 503})
"""What a booking may be told on a bad day."""
OFTEN: Final = {
    # How often in a day. First those who ask.
    "ask": 288.0,
    "read_feed": 96.0,
    "ask_slots": 24.0,
    "scrape": 288.0,
    "look_at_status": 48.0,
    # The person and the bookings.
    "make_event": 12.0,
    "move_event": 6.0,
    "delete_event": 6.0,
    "rename_calendar": 0.1,
    "change_feed": 0.3,
    "book": 4.0,
    "cancel": 2.0,
    "hold": 2.0,
    "block": 1.0,
    # What goes wrong.
    "be_down": 2.0,
    "fail": 3.0,
    "cut_off": 2.0,
    "be_garbled": 1.0,
    "throttle": 1.0,
    "not_answer": 1.0,
    "refuse_login": 0.2,
    "fail_feed": 1.0,
    "expire_tokens": 0.5,
    "be_migrated": 0.1,
    "sleep": 0.5,
    "reload": 0.5,
    "reload_fault": 0.2,
}


class Life:
    """Everything that happens around one daemon, drawn with one die."""

    def __init__(self, clock: Time, *, control: str, base: str, config: Path, state: Path, seed: int) -> None:
        self._clock, self._control, self._base = clock, control.rstrip("/"), base
        self._config, self._state, self._dice = config, state, random.Random(seed)
        self._events: list[str] = []
        self._made = 0
        self._down: set[str] = set()
        self._appointments: list[str] = []
        self._later: set[asyncio.Task[None]] = set()
        self.happened: Counter[str] = Counter()
        self.wrong: list[str] = []
        """Answers that nobody should get."""

    async def live(self, days: float, sample: Callable[[], None]) -> None:
        """A minute at a time, with a sample every hour; at the end all faults are over and busyd knows everything."""
        self._token = (self._state / "local-admin-token").read_text().strip()
        for minute in range(round(days * MINUTES)):
            if minute % 60 == 0:
                sample()
            for name, often in OFTEN.items():
                if self._dice.random() < often / MINUTES:
                    self.happened[name] += 1
                    await getattr(self, f"_{name}")()
            if minute % MINUTES == 0:
                await self._tell("POST", "/log/clear")
            await asyncio.sleep(60)
        for task in self._later:
            task.cancel()
        await self._calm()
        await asyncio.sleep(7 * 3600)  # past the longest rest, and the interval of a feed
        sample()
        if not (await self._get("/v1/profiles/anna/freebusy"))[1].get("complete"):
            self.wrong.append("not complete hours after everything was well again")

    # Those who ask.

    async def _ask(self) -> None:
        await self._get("/v1/profiles/anna/freebusy")

    async def _ask_slots(self) -> None:
        await self._get("/v1/profiles/anna/slots?duration=30m", may=REFUSED)

    async def _scrape(self) -> None:
        await self._get("/metrics")

    async def _look_at_status(self) -> None:
        await self._get("/v1/status")

    async def _read_feed(self) -> None:
        if not (self._state.parent / "feed").exists():
            made = await self._get("/v1/tokens", {"profile": "anna", "scopes": ["freebusy"]})
            (self._state.parent / "feed").write_text(made[1]["feed"])
        await self._get((self._state.parent / "feed").read_text())

    # The person.

    async def _make_event(self) -> None:
        self._made += 1
        name = f"{self._dice.choice(CALENDARS)}/objects/made-{self._made}.ics"
        self._events.append(name)
        await self._put(name)

    async def _move_event(self) -> None:
        if self._events:
            await self._put(self._dice.choice(self._events))

    async def _delete_event(self) -> None:
        if self._events:
            name = self._events.pop(self._dice.randrange(len(self._events)))
            await self._tell("DELETE", f"/accounts/{USER}/calendars/{name}")

    async def _put(self, name: str) -> None:
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        start = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=self._dice.randrange(2, 800))
        uid = name.rpartition("/")[2].removesuffix(".ics")
        text = calendar(event(uid, "Made on a phone", utc(start, start + timedelta(minutes=45))))
        await self._tell("PUT", f"/accounts/{USER}/calendars/{name}", text)

    async def _rename_calendar(self) -> None:
        name = self._dice.choice(("Home", "Private", "Family and me"))
        await self._tell("PATCH", f"/accounts/{USER}/calendars/home", {"name": name})

    async def _change_feed(self) -> None:
        day = datetime.fromtimestamp(self._clock.time(), UTC) + timedelta(days=self._dice.randrange(2, 30))
        given = f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
        await self._tell("PUT", f"/feeds{FEED}", calendar(event("holiday-1", "A holiday", given)))

    async def _book(self) -> None:
        status, told = await self._get("/v1/profiles/anna/slots?duration=30m&start=%2B1d&end=%2B21d", may=REFUSED)
        if status == 200 and told["slots"]:
            start = self._dice.choice(told["slots"])["start"]
            body = {"start": start, "duration": "30m", "summary": "Booked"}
            status, told = await self._get("/v1/profiles/anna/appointments", body, may=REFUSED)
            if "id" in told:
                self._appointments.append(told["id"])

    async def _cancel(self) -> None:
        if self._appointments:
            name = self._appointments.pop(self._dice.randrange(len(self._appointments)))
            await self._get(f"/v1/profiles/anna/appointments/{name}", method="DELETE", may=REFUSED)

    async def _hold(self) -> None:
        status, told = await self._get("/v1/profiles/anna/slots?duration=30m", may=REFUSED)
        if status == 200 and told["slots"]:
            body = {"start": self._dice.choice(told["slots"])["start"], "duration": "30m"}
            await self._get("/v1/profiles/anna/holds", body, may=REFUSED)

    async def _block(self) -> None:
        start = datetime.fromtimestamp(self._clock.time(), UTC) + timedelta(hours=self._dice.randrange(1, 300))
        body = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "duration": "1h"}
        await self._get("/v1/profiles/anna/blocks", body, may=REFUSED)

    # What goes wrong.

    async def _be_down(self) -> None:
        origin = self._dice.choice(("bootstrap", "shard", "feeds"))
        if origin not in self._down:
            self._down.add(origin)
            await self._tell("POST", f"/origins/{origin}/stop")
            self._in(self._dice.choice((2, 10, 45, 180)), lambda: self._start(origin))

    async def _start(self, origin: str) -> None:
        self._down.discard(origin)
        await self._tell("POST", f"/origins/{origin}/start")

    async def _fail(self) -> None:
        await self._play("status", status=self._dice.choice((500, 502, 503, 504, 403, 404)))

    async def _cut_off(self) -> None:
        await self._play(self._dice.choice(("reset", "reset-after-headers", "half-body", "truncated", "empty-body")))

    async def _be_garbled(self) -> None:
        await self._play(self._dice.choice(("html", "garbage", "hostile-xml", "gzip-bomb")))

    async def _throttle(self) -> None:
        await self._play("status", status=503, retry_after=self._dice.choice((5, 120, 900)))

    async def _not_answer(self) -> None:
        await self._play("never-answers")

    async def _play(self, kind: str, **details: object) -> None:
        times = self._dice.choice((1, 1, 2, 5, 20))
        body = {"kind": kind, "times": times, "skip": self._dice.randrange(4), **details}
        await self._tell("POST", f"/accounts/{USER}/faults", body)

    async def _refuse_login(self) -> None:
        await self._tell("POST", f"/accounts/{USER}/knobs", {"revoked": True})
        self._in(self._dice.choice((5, 60, 300)), self._accept_login)

    async def _accept_login(self) -> None:
        await self._tell("POST", f"/accounts/{USER}/knobs", {"revoked": False})

    async def _fail_feed(self) -> None:
        kind = self._dice.choice(("status", "half-body", "html", "never-answers"))
        await self._tell("POST", f"/feeds{FEED}/faults", {"kind": kind, "times": self._dice.choice((1, 3))})

    async def _expire_tokens(self) -> None:
        await self._tell("POST", f"/accounts/{USER}/calendars/{self._dice.choice(CALENDARS)}/expire-tokens")

    async def _be_migrated(self) -> None:
        await self._tell("POST", f"/accounts/{USER}/migrate")

    async def _sleep(self) -> None:
        self._clock.sleep_of_the_machine(self._dice.choice((600, 3600, 8 * 3600)))

    async def _reload(self) -> None:
        text = self._config.read_text()
        before, after = ("notice: 1h", "notice: 2h") if "notice: 1h" in text else ("notice: 2h", "notice: 1h")
        self._config.write_text(text.replace(before, after))
        os.kill(os.getpid(), signal.SIGHUP)

    async def _reload_fault(self) -> None:
        text = self._config.read_text()
        self._config.write_text(text + "profilse: {}\n")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(30)
        self._config.write_text(text)
        os.kill(os.getpid(), signal.SIGHUP)

    async def _calm(self) -> None:
        for origin in [*self._down]:
            await self._start(origin)
        await self._tell("DELETE", f"/accounts/{USER}/faults")
        await self._accept_login()

    def _in(self, minutes: float, what: Callable[[], Awaitable[None]]) -> None:
        async def later() -> None:
            await asyncio.sleep(minutes * 60)
            await what()

        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # Requests, on a thread each: in this process only the daemon may use the loop.

    async def _get(
        self, path: str, body: object = None, *, method: str = "", may: frozenset[int] = frozenset()
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._made += 1
        if body is not None or method:
            headers["Idempotency-Key"] = f"key-{self._made}"
        status, text = await _sent(self._base + path, body, method=method, headers=headers)
        if status >= 300 and status not in may:
            self.wrong.append(f"{method or ('POST' if body else 'GET')} {path}: {status} {text[:200]}")
        return status, json.loads(text) if text.startswith("{") else {}

    async def _tell(self, method: str, path: str, body: object = None) -> None:
        status, text = await _sent(self._control + path, body, method=method, headers={})
        if status >= 400:
            message = f"{method} {path}: {status} {text}"
            raise OSError(message)


async def _sent(url: str, body: object, *, method: str, headers: dict[str, str]) -> tuple[int, str]:
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(url, data, headers, method=method or None)
    return await asyncio.to_thread(functools.partial(_send, request))


def _send(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def take_sample(clock: Time) -> dict[str, float]:
    """What the process takes at this moment: megabytes that the kernel cannot take back, descriptors, threads."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "day": clock.passed / 86_400,
        "memory": int(status["RssAnon"].split()[0]) / 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.bad_month", description=__doc__)
    parser.add_argument("--control", required=True, help="address of the simulated iCloud's control")
    parser.add_argument("--simulator", required=True, type=int, help="its process")
    parser.add_argument("--base", required=True, help="address at which the daemon will listen")
    parser.add_argument("--start", required=True, type=float, help="seconds since 1970")
    parser.add_argument("--days", required=True, type=float)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--report", required=True, type=Path, help="what was found, a JSON object a line")
    parser.add_argument("command", nargs="+", help="the daemon's command line, after --config FILE --state FOLDER")
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--state", required=True, type=Path)
    wanted = parser.parse_args()
    clock = Time(wanted.start)
    clock.install()

    from busyd.cli.main import run_command_line
    from busyd.service import lifecycle

    live_on: Callable[..., Awaitable[None]] = lifecycle.Service._serve_until_stopped

    async def live(self: lifecycle.Service, *arguments: Any) -> None:
        life = Life(
            clock, control=wanted.control, base=wanted.base, config=wanted.config, state=wanted.state, seed=wanted.seed
        )
        with wanted.report.open("a", buffering=1) as lines:

            async def month() -> None:
                try:
                    await life.live(wanted.days, lambda: print(json.dumps(take_sample(clock)), file=lines))
                except Exception as error:
                    life.wrong.append(f"the month ended early: {error!r}")
                    raise
                finally:
                    print(json.dumps({"happened": life.happened, "wrong": life.wrong}), file=lines)
                    os.kill(os.getpid(), signal.SIGTERM)

            task = asyncio.create_task(month())
            try:
                await live_on(self, *arguments)
            finally:
                task.cancel()  # where somebody else ends the daemon

    lifecycle.Service._serve_until_stopped = live  # type: ignore[method-assign,assignment]
    vars(lifecycle)["loop_factory"] = lambda: lambda: VirtualLoop(clock, [wanted.simulator])
    sys.exit(run_command_line(["--config", str(wanted.config), "--state", str(wanted.state), *wanted.command]))


if __name__ == "__main__":
    main()
