"""A backend with a log that a test writes, webhooks as the command line makes them, and time that it moves on."""

import asyncio
import heapq
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from busyd.credentials import Secret
from busyd.credentials.webhooks import derive_secret, digest_of
from busyd.flow.webhook_endpoint import WebhookEndpoint
from busyd.flow.webhooks import Webhooks
from busyd.period import Instant, to_rfc3339
from busyd.store.changes import AppointmentChanged, ChangeEvent, NewEntry, ToldState
from busyd.store.webhooks import RESUME, WEBHOOK_EVENTS, Webhook
from tests.http.small_backend import NOW, SmallBackend
from tests.receiver import Answer, Received, receiving

MASTER = Secret("m" * 64)


class EventClock:
    """Time that a test moves on from one sleeper to the next."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.jumped = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._slept = asyncio.Event()

    def now(self) -> Instant:
        return Instant(NOW + int(self.passed) + self.jumped)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.passed + seconds, next(self._numbers), woken))
        self._slept.set()
        await woken

    async def skip(self) -> None:
        """Wait until somebody sleeps, and let the time pass until the first wakes up."""
        while not (waiting := [one for one in self._sleepers if not one[2].done()]):
            self._slept.clear()
            async with asyncio.timeout(60):
                await self._slept.wait()
        first = min(waiting)
        self._sleepers = [one for one in waiting if one is not first]
        self.passed = max(self.passed, first[0])
        first[2].set_result(None)


class Stage:
    """A backend with a log that a test writes, and hooks as the command line makes them."""

    def __init__(self, directory: Path) -> None:
        self.backend = SmallBackend(directory)
        self.clock = EventClock()
        self.master: Secret | None = MASTER
        self.secrets: dict[str, Secret] = {}
        self.is_killed = False
        """Whether the next stop is a kill, after which nothing more is written."""
        self.webhooks = self.opened()

    def opened(self) -> Webhooks:
        """As after a start of the daemon."""

        async def read_master() -> Secret | None:
            return self.master

        return Webhooks(self.backend.ledger, self.backend.changes, clock=self.clock, read_master=read_master)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Webhooks]:
        """The daemon from a start to a stop; the ledger is looked at only when a test says so."""
        self.webhooks = self.opened()
        await self.webhooks.read_hooks()
        tasks = [asyncio.create_task(work) for work in (self.webhooks.follow_log(), self.webhooks.write_progress())]
        try:
            yield self.webhooks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.is_killed:
                await asyncio.gather(*(endpoint.close() for endpoint in self.webhooks.endpoints.values()))
            else:
                await self.webhooks.close()

    def add(
        self, url: str, *, name: str = "hook", profile: str = "anna", events: tuple[str, ...] = WEBHOOK_EVENTS
    ) -> str:
        """As `busyd webhook add`."""
        secret = derive_secret(MASTER, name, generation=0)
        self.secrets[name] = secret
        hook = Webhook(name, profile, url, tuple(events), True, self.clock.now(), 0, None, digest_of(secret))
        self.backend.command_line.webhooks(lambda kept: kept.add(hook))
        return secret.reveal()

    def replay(self, name: str = "hook", since: int = RESUME) -> None:
        """As `busyd webhook replay`."""
        assert self.backend.command_line.webhooks(lambda kept: kept.ask(name, since))

    async def tell(self, *changes: ChangeEvent, profile: str = "anna") -> None:
        """New entries of the log, one for each."""
        entries = [NewEntry.of(change, (profile,), told=body_of(self.clock.now(), profile)) for change in changes]
        await self.backend.log.append(entries, ToldState(), now=self.clock.now())

    def endpoint(self, name: str = "hook") -> WebhookEndpoint:
        return self.webhooks.endpoints[name]

    async def until(self, what: Callable[[], object]) -> None:
        """Wait for something that happens by itself, without any time passing on the clock."""
        async with asyncio.timeout(60):
            while not what():  # noqa: ASYNC110 - what is waited for may be on another thread
                await asyncio.sleep(0.005)

    async def until_idle(self) -> None:
        await self.until(lambda: all(one.is_idle for one in self.webhooks.endpoints.values()))


def body_of(at: Instant, profile: str) -> AppointmentChanged:
    return AppointmentChanged(to_rfc3339(at), profile, "a1", "booked", "", "", "", to_rfc3339(at), to_rfc3339(at))


async def fail_and_kill(directory: Path, seed: int, *, rounds: int) -> None:
    """Have a receiver answer anything, and busyd be stopped and killed, at random: nothing is left out or overtaken.

    Raises AssertionError.
    """
    dice, stage, told = random.Random(seed), Stage(directory), list[int]()
    taken: list[int] = []
    is_fair = False

    def answer(received: Received) -> Answer:
        status = 204 if is_fair else dice.choice([204, 204, 204, 500, 302, 429, 503])
        if status == 204:
            taken.append(received.json["id"])
        return status, {"Retry-After": "30"}

    try:
        with receiving() as receiver:
            receiver.answer = answer
            stage.add(receiver.url, events=("busy", "appointment"))
            for number in range(rounds):
                is_fair = number == rounds - 1
                stage.is_killed = dice.random() < 0.5
                async with stage.running():
                    for _ in range(dice.randrange(1, 6)):
                        event = dice.choice([ChangeEvent.BUSY, ChangeEvent.FREE, ChangeEvent.APPOINTMENT])
                        profile = dice.choice(["anna", "anna", "bob"])
                        await stage.tell(event, profile=profile)
                        if profile == "anna" and event is not ChangeEvent.FREE:
                            told.append(stage.backend.log.newest)
                    while stage.endpoint().next_try and (is_fair or dice.random() < 0.7):
                        await stage.clock.skip()
                        await asyncio.sleep(dice.random() * 0.02)
                    if is_fair:
                        await stage.until(lambda: set(taken) == set(told))
                        await stage.until_idle()
        assert list(dict.fromkeys(taken)) == told, seed
    finally:
        stage.backend.close()
