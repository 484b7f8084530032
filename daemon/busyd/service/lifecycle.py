"""The daemon from its start to its stop: starts its parts in order, keeps them going, stops them in reverse order.

Order: lock the state, open the stores, take the stored index, listen, say READY, then read calendars. What only reading
needs (lxml, the HTTP client) is imported after READY, so that a restart answers at once.
"""

import asyncio
import functools
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busyd.clock import Clock, SystemClock
from busyd.config import Config
from busyd.errors import BusydError
from busyd.flow.backend import Backend
from busyd.flow.reload import ReloadOutcome
from busyd.http.aiohttp_package import import_with_client
from busyd.http.app import build_app
from busyd.ical.zones import forget_outdated_zones
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.retry import retry_postponed
from busyd.index.writer import IndexWriter
from busyd.os_errors import fault_of
from busyd.period import EARLIEST
from busyd.service.crash_counter import CrashCounter
from busyd.service.listening import Listening
from busyd.service.reload import Reloader
from busyd.service.settings import endpoint_settings
from busyd.service.state_dir import locked, machine_zone, prepare_state, write_admin_token
from busyd.service.tasks import loop_factory, run_until_stopped
from busyd.state.links import remembered_by_profile
from busyd.state.state import State
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.errors import StorageDamaged, StorageError
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import Store
from busyd.systemd import ServiceManager

if TYPE_CHECKING:
    from busyd.service.polling import Polling

logger = logging.getLogger(__name__)

RETRY_EVERY: Final = 30.0
"""Seconds between two tries of what the disk does not let us do."""
LOOK_AT_ZONES_EVERY: Final = 3600.0
ROLL_EVERY: Final = 60.0
"""Seconds between two looks whether a day has passed."""
SWITCH: Final = 0.0005
"""Seconds for which a thread that works may keep the loop waiting; with Python's own 5 ms every answer given while a
listing is read would be that late, several times over."""


def run_service(config_path: Path, state: Path, *, config: Config) -> int:
    """Run the daemon until SIGTERM or SIGINT; 0 after a clean stop. Raises BusydError when it cannot start."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload asked for during the start is what the start does anyway
    sys.setswitchinterval(SWITCH)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(Service(config_path, state, config=config).run())


class Service:
    """The daemon between its start and its stop."""

    def __init__(self, config_path: Path, state: Path, *, config: Config, clock: Clock | None = None) -> None:
        self._config_path = config_path
        self._folder = state
        self._config = config
        self._clock = clock or SystemClock()
        self._manager = ServiceManager()
        self._crashes = CrashCounter(state, self._manager, clock=self._clock)
        self._stop = asyncio.Event()
        self._has_client = asyncio.Event()
        """Set once the HTTP client is imported."""
        self._ready = False
        self._is_damaged = False
        self._exit_status = 0
        self._polling: Polling | None = None
        self._new: asyncio.Task[None] | None = None
        self._refused = ""
        """Why the last reload changed nothing, in a line."""

    async def run(self) -> int:
        """Start everything, serve until told to stop, stop everything; the exit status.

        Raises Misconfigured, TryAgain and StorageError when it cannot start. What ends it later is told here, and 1:
        the next start looks at it afresh.
        """
        self._catch_signals()
        try:
            prepare = functools.partial(prepare_state, self._folder)
            return await self._crashes.run(prepare=prepare, start=self._serve_or_rebuild, stop=self._stop)
        except BusydError as error:
            if not self._ready:
                raise
            logger.error("%s; stopping, to be started again", error)
            return 1
        except OSError as error:
            if self._ready:
                raise
            raise fault_of(error, f"cannot start: {error.filename or 'the system refused'}") from error
        finally:
            self._manager.close()

    async def _serve_or_rebuild(self) -> int:
        """Serve; when the mirror turns out to be damaged, once more with a new one: it can be read again."""
        try:
            if (status := await self._serve()) == 0 or not self._is_damaged:
                return status
        except StorageDamaged:
            if not self._is_damaged:
                raise
        logger.error("the mirror is damaged: it is set aside, and everything is read anew")
        await asyncio.sleep(0)  # the stop that the damage has asked for
        self._stop.clear()
        self._is_damaged, self._exit_status, self._polling = False, 0, None
        return await self._serve()

    async def _serve(self) -> int:
        async with AsyncExitStack() as resources:
            resources.enter_context(locked(self._folder))
            store = Store.open_or_begin_anew(self._folder / MIRROR_FILE)
            resources.callback(store.close)
            loop = asyncio.get_running_loop()

            def give_up() -> None:
                self._is_damaged = True
                loop.call_soon_threadsafe(self._give_up, "the mirror is damaged")

            store.call_on_damage(give_up)
            opened = Ledger.open(self._folder / LEDGER_FILE)
            ledger = LedgerThread(opened)
            resources.callback(ledger.close)
            connections = [settings.connection for settings in self._config.connections.values()]
            zone = machine_zone(os.environ)
            self._state = State(connections, self._config.profiles.values(), machine_zone=zone)
            self._state.own_zones = self._config.time_zones
            self._state.remembered = remembered_by_profile(opened.resolved_links(), self._state.profiles)
            self._state.problems.accepted = opened.acceptances()
            changes = ChangeLog.open_or_begin_anew(self._folder / CHANGES_FILE, now=self._clock.now())
            resources.callback(changes.close)
            recorder = ChangeRecorder(changes, self._state, clock=self._clock, store=store)
            publisher = SnapshotPublisher(store, self._state, clock=self._clock, changes=recorder)
            rows = opened.outbox(lambda outbox: outbox.unsettled(EARLIEST))
            self._state.own.take(rows)
            await recorder.take_as_told(rows)
            recorder.note_rows(rows)
            for warning in self._state.own.warnings(self._state.profiles):
                logger.warning("%s", warning)
            self._writer = IndexWriter(store, self._state, clock=self._clock, publisher=publisher)
            resources.push_async_callback(self._writer.close)
            self._restore = Restore(self._writer)
            self._restore.take_snapshots()
            self._backend = Backend(self._state, self._writer, ledger=ledger, clock=self._clock, changes=changes)
            write_admin_token(self._folder, opened, now=self._clock.now())
            endpoint = build_app(self._backend, endpoint_settings(self._config))
            self._listening = Listening(endpoint, config_path=self._config_path, state=self._folder, clock=self._clock)
            await self._listening.begin(self._config)
            resources.push_async_callback(self._listening.close)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._backend.reloads.ask)
            self._ready = True
            self._manager.ready(self._status())
            gc.freeze()  # what was imported stays for good: each look through it holds every thread up
            gc.enable()  # off since `busyd run` began
            await self._serve_until_stopped(ledger)
            if not self._is_damaged:
                self._manager.stopping()
        logger.info("stopped")
        return self._exit_status

    async def _serve_until_stopped(self, ledger: LedgerThread) -> None:
        """Everything that goes on until the stop. What ends with an error ends the daemon, to be started anew."""
        try:
            await run_until_stopped(
                self._stop,
                {
                    "watchdog": self._manager.watchdog(self._backend.alive),
                    "reading": self._read_calendars(ledger),
                    "roll": self._roll(),
                    "retry": retry_postponed(self._writer),
                    "holds": self._backend.holds.end_expired(),
                    "calendars that do not count": self._backend.uncounted.run(),
                    "webhooks": self._tell_webhooks(ledger),
                    "forget early ends": self._crashes.forget_later(),
                },
            )
        finally:
            if self._polling is not None:
                await self._backend.booker.close()
                await self._polling.close()

    async def _read_calendars(self, ledger: LedgerThread) -> None:
        """Load what is stored, then poll, and follow changes of the configuration."""
        await self._patiently(self._restore.load_tables, "the stored index could not be loaded")
        # On a thread, as lxml and the HTTP client take a tenth of a second that nobody should wait for.
        module = await asyncio.to_thread(import_with_client, "busyd.service.polling")
        await asyncio.to_thread(import_module, "busyd.flow.appointments")
        self._has_client.set()
        gc.freeze()  # also the tables
        self._polling = module.Polling(
            self._writer,
            ledger,
            clock=self._clock,
            folder=self._folder,
            on_change=lambda: self._manager.status(self._status()),
            after_poll=self._backend.booker.after_poll,
        )
        self._backend.schedules = self._backend.uncounted.schedules = self._polling.schedules
        await self._polling.follow(self._config.connections)
        await self._patiently(self._backend.booker.begin, "appointments under way could not be taken up")
        reloader = Reloader(
            self._config_path, self._config, writer=self._writer, listening=self._listening, clock=self._clock
        )
        await self._backend.reloads.serve(functools.partial(self._reload, reloader, self._polling))

    async def _tell_webhooks(self, ledger: LedgerThread) -> None:
        await self._has_client.wait()
        module = await asyncio.to_thread(import_module, "busyd.service.webhooks")
        await module.tell_webhooks(self._backend, ledger, folder=self._folder)

    async def _reload(self, reloader: Reloader, polling: "Polling") -> ReloadOutcome:
        """One reload, from RELOADING to READY, which is sent again whatever comes of it."""
        self._manager.reloading()
        try:
            outcome = await reloader.reload(polling)
            self._refused = outcome.reason
        finally:
            self._manager.ready(self._status())
        if self._new is not None:
            self._new.cancel()
        self._new = asyncio.create_task(polling.read_what_is_new(), name="read what is new")
        return outcome

    async def _patiently(self, work: Callable[[], Awaitable[object]], failure: str) -> None:
        """Do it until the disk lets us; until then busyd answers from what it has."""
        while True:
            try:
                await work()
            except StorageError as error:
                logger.error("%s: %s; trying again in %g seconds", failure, error, RETRY_EVERY)
                await self._clock.sleep(RETRY_EVERY)
            else:
                return

    async def _roll(self) -> None:
        """Follow the days, and newer time-zone data."""
        from busyd.index.rolling import roll_horizon

        looked = self._clock.monotonic()
        while True:
            await self._clock.sleep(ROLL_EVERY)
            try:
                if await roll_horizon(self._writer, self._clock.now()):
                    logger.info("a new day: the horizon moved on")
                    await self._backend.requests.forget_keys(self._clock.now())
                await self._backend.accepted_problems.forget_ended()
                if self._clock.monotonic() - looked >= LOOK_AT_ZONES_EVERY:
                    looked = self._clock.monotonic()
                    if forget_outdated_zones():
                        await self._writer.close()
                        await self._restore.load_tables()
            except StorageError as error:
                logger.error("the horizon could not be moved on, trying again: %s", error)

    def _give_up(self, why: str) -> None:
        """Stop so that the service manager starts us anew: the start repairs what can be repaired."""
        logger.error("%s; starting anew", why)
        self._exit_status = 1
        self._stop.set()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _status(self) -> str:
        """Counts, never names; but a fault of the configuration is told with its place."""
        refused = f"reload refused, the old configuration stays: {self._refused}; " if self._refused else ""
        connections = self._state.connections.values()
        failing = sum(1 for state in connections if state.trouble)
        calendars = len(self._state.links.calendars & self._state.calendars.keys())
        return (
            f"{refused}{len(self._state.profiles)} profiles, {calendars} calendars linked, "
            f"{len(connections) - failing} of {len(connections)} connections reachable"
        )
