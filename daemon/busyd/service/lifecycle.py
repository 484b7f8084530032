"""The daemon from its start to its stop: starts its parts in order, keeps them going, stops them in reverse order.

Order: lock the state, open the stores, take the stored index, listen, say READY, then read calendars. What only reading
needs (lxml, the HTTP client) is imported after READY, so that a restart answers at once.
"""

import asyncio
import functools
import gc
import logging
import signal
import sys
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from busyd.clock import Clock, SystemClock, sleep_unless
from busyd.config import Config
from busyd.errors import BusydError
from busyd.flow.backend import Backend
from busyd.flow.reload import ReloadOutcome
from busyd.http.aiohttp_package import import_with_client
from busyd.http.app import build_app
from busyd.index.changes import ChangeRecorder
from busyd.index.retry import retry_postponed
from busyd.os_errors import fault_of
from busyd.service.crash_counter import CrashCounter
from busyd.service.days import follow_days
from busyd.service.listening import Listening
from busyd.service.memory import open_memory
from busyd.service.reload import Reloader
from busyd.service.settings import endpoint_settings
from busyd.service.state_dir import locked, prepare_state, write_admin_token
from busyd.service.stores import OpenStores, open_stores
from busyd.service.summary import StatusLine, describe_counts
from busyd.service.tasks import loop_factory, patiently, run_until_stopped, without_collections
from busyd.store.errors import SessionEnded, StorageDamaged, StorageError, StorageUnusable
from busyd.systemd import ServiceManager

if TYPE_CHECKING:
    from busyd.service.polling import Polling
    from busyd.service.session import DaemonSession

logger = logging.getLogger(__name__)

_LATE_COMMIT: Final = "the database may have kept what was taken for lost, which is not in memory"
_AGAIN_AFTER: Final = 2.0
"""Seconds."""
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
        self._config_path, self._folder, self._config = config_path, state, config
        self._clock, self._manager = clock or SystemClock(), ServiceManager()
        self._crashes = CrashCounter(state, self._manager, clock=self._clock)
        self._stop = asyncio.Event()
        self._has_client = asyncio.Event()
        """Set once the HTTP client is imported."""
        self._has_polling = asyncio.Event()
        self._status_line = StatusLine(lambda: self._manager.status(self._status()))
        self._ready, self._is_damaged = False, False
        self._is_outdated = False
        """Whether memory has to be read anew from the database."""
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
        """Serve; when the mirror turns out to be damaged, once more with a new one: it can be read again.

        When the session in the database has ended, with another one, as soon as the database lets us.
        """
        is_anew = False
        while True:
            try:
                status = await self._serve()
            except StorageDamaged:
                if not self._is_damaged:
                    raise
            except StorageError as error:
                if not (isinstance(error, SessionEnded) or is_anew) or isinstance(error, StorageUnusable):
                    raise
                if not isinstance(error, SessionEnded):  # the database has failed once more
                    await sleep_unless(self._stop, _AGAIN_AFTER, clock=self._clock)
                if self._stop.is_set() and not self._exit_status:
                    return 0  # it was to end anyway
                logger.error("%s; starting anew in the same process", error)
                self._begin_again()
                is_anew = True
                continue
            else:
                if self._is_outdated:
                    self._begin_again()
                    is_anew = True
                    continue
                if status == 0 or not self._is_damaged:
                    return status
            logger.error("the mirror is damaged: it is set aside, and everything is read anew")
            await asyncio.sleep(0)  # the stop that the damage has asked for
            self._begin_again()

    def _begin_again(self) -> None:
        self._stop.clear()
        self._is_damaged, self._is_outdated, self._exit_status, self._polling = False, False, 0, None
        self._has_polling.clear()

    async def _serve(self) -> int:
        async with AsyncExitStack() as resources:
            resources.enter_context(locked(self._folder))
            loop = asyncio.get_running_loop()
            stores = await open_stores(
                self._config,
                self._folder,
                clock=self._clock,
                resources=resources,
                on_late_commit=lambda: loop.call_soon_threadsafe(self._read_anew),
            )
            self._clock, self._ledger = stores.clock, stores.ledger_thread

            def give_up() -> None:
                self._is_damaged = True
                loop.call_soon_threadsafe(self._give_up, "the mirror is damaged")

            stores.mirror.call_on_damage(give_up)
            memory = await open_memory(self._config, stores, resources=resources)
            self._state, self._writer, self._restore = memory.state, memory.writer, memory.restore
            self._backend = Backend(
                self._state, self._writer, ledger=self._ledger, clock=self._clock, changes=stores.changes
            )
            daemon = stores.session.name if stores.session is not None else ""
            write_admin_token(self._folder, stores.ledger, now=self._clock.now(), daemon=daemon)
            endpoint = build_app(self._backend, endpoint_settings(self._config))
            self._listening = Listening(endpoint, config_path=self._config_path, state=self._folder, clock=self._clock)
            await self._listening.begin(self._config)
            resources.push_async_callback(self._listening.close)
            loop.add_signal_handler(signal.SIGHUP, self._backend.reloads.ask)
            self._ready = True
            self._manager.ready(self._status())
            await self._serve_until_stopped(stores, memory.recorder)
            if not self._is_damaged:
                self._manager.stopping()
        logger.info("stopped")
        return self._exit_status

    async def _serve_until_stopped(self, stores: OpenStores, recorder: ChangeRecorder) -> None:
        """Everything that goes on until the stop. What ends with an error ends the daemon, to be started anew."""
        if (session := stores.session) is None:
            alone = {"webhooks": self._tell_webhooks(stores)}
        else:
            sharing = self._share(session, stores=stores, recorder=recorder)
            alone = {"session": session.renew(), "sharing": sharing}
        try:
            await run_until_stopped(
                self._stop,
                {
                    **alone,
                    "watchdog": self._manager.watchdog(self._backend.alive),
                    "reading": self._read_calendars(stores),
                    "roll": follow_days(self._writer, self._backend, restore=self._restore),
                    "retry": retry_postponed(self._writer),
                    "holds": self._backend.holds.end_expired(),
                    "calendars that do not count": self._backend.uncounted.run(),
                    "forget early ends": self._crashes.forget_later(),
                },
            )
        finally:
            if self._polling is not None:
                await self._backend.booker.close()
                await self._polling.close()
            self._status_line.close()

    async def _read_calendars(self, stores: OpenStores) -> None:
        """Load what is stored, then poll, and follow changes of the configuration."""
        await patiently(self._load_tables, self._clock, failure="the stored index could not be loaded")
        # On a thread, as lxml and the HTTP client take a tenth of a second that nobody should wait for.
        module = await asyncio.to_thread(import_with_client, "busyd.service.polling")
        await asyncio.to_thread(import_module, "busyd.flow.appointments")
        self._has_client.set()
        gc.freeze()  # also what was imported since
        self._polling = module.Polling(
            self._writer,
            self._ledger,
            clock=self._clock,
            folder=self._folder,
            credentials=stores.credentials,
            look_for_secrets=stores.look_for_secrets,
            on_change=self._status_line.change,
            after_poll=self._backend.booker.after_poll,
        )
        self._backend.schedules = self._backend.uncounted.schedules = self._polling.schedules
        if stores.session is None:
            await self._polling.follow(self._config.connections)
            self._backend.reloads.started()
            failure = "appointments under way could not be taken up"
            await patiently(self._backend.booker.begin, self._clock, failure=failure)
        else:
            await self._polling.own(())
            await self._polling.follow(self._config.connections)
        self._has_polling.set()
        reloader = Reloader(
            self._config_path, self._config, writer=self._writer, listening=self._listening, clock=self._clock
        )
        await self._backend.reloads.serve(functools.partial(self._reload, reloader, self._polling))

    async def _load_tables(self) -> None:
        with without_collections():
            await self._restore.load_tables()

    async def _share(self, session: "DaemonSession", *, stores: OpenStores, recorder: ChangeRecorder) -> None:
        await self._has_polling.wait()
        from busyd.service.fleet import FleetMember
        from busyd.service.shared_parts import SharedParts

        assert self._polling is not None
        duties = functools.partial(self._tell_webhooks, stores)
        parts = SharedParts(
            self._polling, self._backend, self._writer, self._ledger, stores.changes, recorder, duties=duties
        )
        await FleetMember(session, parts).run()

    async def _tell_webhooks(self, stores: OpenStores) -> None:
        await self._has_client.wait()
        module = await asyncio.to_thread(import_module, "busyd.service.webhooks")
        await module.tell_webhooks(
            self._backend, self._ledger, credentials=stores.credentials, look=stores.look_for_secrets
        )

    async def _reload(self, reloader: Reloader, polling: "Polling") -> ReloadOutcome:
        """One reload, from RELOADING to READY, which is sent again whatever comes of it."""
        self._manager.reloading()
        try:
            outcome = await reloader.reload(polling)
            # What is begun anew in this process is so by what counts now, in the stores that it began with.
            self._config = replace(reloader.config, state=self._config.state, store=self._config.store)
            self._refused = outcome.reason
        finally:
            self._manager.ready(self._status())
        if self._new is not None:
            self._new.cancel()
        self._new = asyncio.create_task(polling.read_what_is_new(), name="read what is new")
        return outcome

    def _read_anew(self) -> None:
        """Stop, and begin again in this process: memory may lack something."""
        self._is_outdated = True
        self._give_up(_LATE_COMMIT)

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
        return describe_counts(self._state, refused=self._refused)
