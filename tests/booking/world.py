"""busyd with what it takes to book, and a simulated iCloud, in one loop and in virtual time, without a socket.

Every request takes a moment to arrive, and its answer another to come back: whatever is done meanwhile comes between.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from busyd.availability.index import PackedObject, index_object, pack_object
from busyd.availability.profile import Profile
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.flow.backend import Backend
from busyd.ical.zones import NO_OWN_ZONES, OwnZones
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.worker import Worker
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, Instant, Period
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Trouble, Unreachable, WriteOutcomeUnknown
from busyd.remote.feed import FeedAnswer
from busyd.service.schedule import PollSchedule
from busyd.state.links import remembered_by_profile
from busyd.state.state import State
from busyd.store.bookings import Booking
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE
from busyd.store.sqlite.ledger_file import LedgerFile
from busyd.store.store import Store
from busyd.sync.context import PollContext
from tests.booking.virtual_loop import VirtualLoop
from tests.chaos.clock import START
from tests.icloud.accounts import Account
from tests.icloud.exchange import Call
from tests.icloud.server import DEFAULT_PASSWORD, SimulatedIcloud

POLL: Final = 30
ON_THE_WAY: Final = 0.1
"""Seconds that a request takes to arrive, and its answer to come back."""
DAY: Final = Instant(START + 30 * 86_400)
"""On which everything takes place."""
WHOLE_DAY: Final = Period(DAY, Instant(DAY + 86_400))

Mishap = Literal["lost", "answer-lost", "late", "refused", "refused-after-all"]
"""What may happen to a write: `refused` is a 503 without it, `refused-after-all` one although it was carried out."""
MISHAPS: Final[tuple[Mishap, ...]] = ("lost", "answer-lost", "late", "refused", "refused-after-all")


class Trap(Struct, frozen=True):
    """What happens to the next write, or to the next read."""

    mishap: Mishap
    seconds: float = 0.0
    """By which it is late."""
    of_reads: bool = False


class Network:
    """Carries requests of a daemon to the simulated iCloud."""

    def __init__(self, icloud: SimulatedIcloud, account: Account) -> None:
        self._icloud, self._account = icloud, account
        self.traps: deque[Trap] = deque()

    async def send(self, request: DavRequest) -> DavResponse:
        is_write = request.method in ("PUT", "DELETE")
        trap = self._sprung(is_write)
        address = urlsplit(request.target)
        fields = CIMultiDict([*request.headers, *([("Depth", request.depth)] if request.depth else [])])
        call = Call("shard", "", request.method, address.path, CIMultiDictProxy(fields), request.body)
        await asyncio.sleep(ON_THE_WAY)
        if trap is not None and not is_write:
            raise Unreachable("caldav.icloud.com", Trouble.RESET)
        match trap.mishap if trap is not None else "":
            case "lost":
                raise WriteOutcomeUnknown("caldav.icloud.com", request.method)
            case "late" if trap is not None:
                asyncio.get_running_loop().call_later(trap.seconds, self._icloud._carry_out, call, self._account)
                raise WriteOutcomeUnknown("caldav.icloud.com", request.method)
            case "refused":
                return DavResponse(503, self._url(address.path))
            case mishap:
                answer, _ = self._icloud._gate.decide(call, self._account, password=DEFAULT_PASSWORD, reused=False)
                await asyncio.sleep(ON_THE_WAY)
                if mishap == "answer-lost":
                    raise WriteOutcomeUnknown("caldav.icloud.com", request.method)
                if mishap:
                    return DavResponse(503, self._url(address.path))
        fields_back = (("Content-Type", answer.content_type), *answer.headers)
        return DavResponse(answer.status, self._url(address.path), fields_back, answer.body)

    def _sprung(self, is_write: bool) -> Trap | None:
        trap = next((one for one in self.traps if one.of_reads is not is_write), None)
        if trap is not None:
            self.traps.remove(trap)
        return trap

    def _url(self, path: str) -> str:
        return self._icloud.places.shard + path


class HereAndNow(Worker):
    """Reads events in this process: time would pass while nobody here has anything to do."""

    async def index(
        self, payloads: Sequence[bytes], span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES
    ) -> list[PackedObject]:
        return [pack_object(index_object(payload, span, zone=zone, own_zones=own_zones)) for payload in payloads]


class Daemon:
    """One busyd without its handlers, on a state directory of its own."""

    def __init__(self, folder: Path, icloud: SimulatedIcloud, account: Account, *, loop: VirtualLoop) -> None:
        self._folder, self._address, self._loop = folder, icloud.bootstrap_url, loop
        self._calendars = [calendar.name for calendar in account.calendars.values() if calendar.kind == "calendar"]
        self.network = Network(icloud, account)

    async def boot(self) -> None:
        """As `service/lifecycle.py` does."""
        clock = self._loop
        self.store = Store.open(self._folder / MIRROR_FILE, synchronous="OFF")
        database = LedgerFile(self._folder / LEDGER_FILE, busy_timeout=10.0)
        database._connection.execute("PRAGMA synchronous=OFF")  # the machine does not lose its power here
        self.ledger = Ledger(database)
        self._thread = LedgerThread(self.ledger)
        poll = timedelta(seconds=POLL)
        connection = Connection("anna", ConnectionKind.ICLOUD, self._address, "anna@icloud.com", poll=poll)
        primary, *others = (CalendarReference("anna", name or "") for name in self._calendars)
        profile = Profile("anna", timezone="UTC", primary=primary, conflicts=tuple(others))
        self.state = state = State([connection], [profile], machine_zone="UTC")
        state.remembered = remembered_by_profile(self.ledger.resolved_links(), state.profiles)
        state.own.take(self.ledger.outbox(lambda outbox: outbox.unsettled(EARLIEST)))
        self._changes = ChangeLog.open_or_begin_anew(self._folder / CHANGES_FILE, now=clock.now())
        publisher = SnapshotPublisher(self.store, state, clock=clock)
        self._writer = IndexWriter(self.store, state, clock=clock, publisher=publisher)
        self._writer.expansion.worker = HereAndNow()
        restore = Restore(self._writer)
        restore.take_snapshots()
        await restore.load_tables()
        client = CaldavClient(self.network)
        context = PollContext(
            connection_state=state.connections["anna"],
            client=client,
            read_feed=_no_feeds,
            writer=self._writer,
            ledger=self._thread,
            clock=clock,
        )
        self.backend = Backend(state, self._writer, ledger=self._thread, clock=clock, changes=self._changes)
        self.backend.reloads.started()
        self.schedule = PollSchedule(context, has_another_password=_never, after_poll=self.backend.booker.after_poll)
        self.backend.schedules = {"anna": self.schedule}
        self._polling = asyncio.create_task(self.schedule.run())
        await self.backend.booker.begin()

    async def stop(self) -> None:
        """End it in good order."""
        self._polling.cancel()
        await self.schedule.stop()
        await self.backend.booker.close()
        await self._close()

    async def die(self) -> None:
        """Be killed, alone in this loop."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await self._writer.close()
        self.store.close()
        self._thread.close()
        self._changes.close()

    def rows(self) -> list[Booking]:
        """All rows of the ledger, as they were committed last."""
        return self.ledger.outbox(lambda outbox: outbox.of_profile("anna", WHOLE_DAY))

    def mirrored(self, calendar: str) -> dict[str, str]:
        """Href -> ETag of what the mirror has of a calendar."""
        (number,) = (number for number, one in self.state.calendars.items() if one.remote.id == calendar)
        return self._loop.run_until_complete(self.store.read_etags(number))


class World(Daemon):
    """One account, and one daemon on it."""

    def __init__(self, folder: Path) -> None:
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        icloud, self.account = account_of_anna("Work", "Home", loop=self.loop)
        self.work, self.home = self.account.calendars["work"], self.account.calendars["home"]
        super().__init__(folder, icloud, self.account, loop=self.loop)
        self.loop.run_until_complete(self.boot())

    def pass_time(self, seconds: float) -> None:
        """Let everything that is under way go on for so long."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def restart(self) -> None:
        """Kill the daemon, and start it on what it has committed."""
        self.loop.run_until_complete(self.die())
        self.loop.run_until_complete(self.boot())

    def close(self) -> None:
        self.loop.run_until_complete(self.die())
        self.loop.end()
        asyncio.set_event_loop(None)


def account_of_anna(*calendars: str, loop: VirtualLoop) -> tuple[SimulatedIcloud, Account]:
    """A simulated iCloud without sockets, and an account with these calendars; the first is to be written to."""
    icloud = SimulatedIcloud(now=loop.time)
    icloud.places.bootstrap, icloud.places.shard = "http://127.0.0.1:8001", "http://127.0.0.1:8002"
    account = icloud.add_account("anna@icloud.com", dsid="300000001")
    for name in calendars:
        account.add_calendar(name, id=name.casefold())
    return icloud, account


async def _no_feeds(url: str, validators: Mapping[str, str]) -> FeedAnswer:
    raise AssertionError(url, validators)


async def _never() -> bool:
    return False
