"""This daemon among others on one database: which connections are its to poll, and what the others do.

While its session lives, the connections that it owns are polled by nobody else, and the rows of their calendars are
carried on by nobody else. What others write is followed.
"""

import asyncio
import functools
import logging
from typing import Final

from busyd.flow.member_operations import ForwardOperation
from busyd.flow.shared_health import health_of, take_health
from busyd.flow.shared_mirror import SharedMirror
from busyd.flow.shared_rows import SharedRows
from busyd.period import EARLIEST, Instant
from busyd.service.followed_connection import FollowedConnection
from busyd.service.poll_forwarding import PollForwarding
from busyd.service.session import DaemonSession
from busyd.service.shared_duties import SharedDuties
from busyd.service.shared_parts import SharedParts
from busyd.service.shown_daemons import ShownDaemons
from busyd.service.write_forwarding import WriteForwarding
from busyd.state.link_map import connections_of
from busyd.state.profile_state import ProfileState
from busyd.store.errors import SessionEnded, StorageError
from busyd.store.postgresql.fleet import SHARED_DUTIES
from busyd.store.postgresql.forwarded_writes import ForwardedWrites
from busyd.store.postgresql.other_daemons import Followed, FollowedFrom
from busyd.store.postgresql.poll_requests import PollRequests

logger = logging.getLogger(__name__)

_CLAIM_EVERY: Final = 2.0
"""Seconds between two looks for connections, and for changed passwords."""
_HAND_OVER_EVERY: Final = 10.0
_FOLLOW_EVERY: Final = 1.0
"""Seconds, without a hint that there is something."""
_ASK_EVERY: Final = 0.25
"""Seconds, while somebody waits for another daemon."""
_FORGET_EVERY: Final = 3600.0
_FOLLOWED_WITHIN: Final = 86_400
"""Seconds for which it is known what was deleted; who follows later reads everything anew."""
_HEARD_WITHIN: Final = 20.0
"""Seconds after which the health of all connections is read anew: what was said meanwhile is not kept."""
_WATCH_EVERY: Final = 1.0
"""Seconds between two looks whether the session is renewed in time, however long a turn takes."""
_AT_ONCE: Final = 500
"""Connections that are claimed at once."""


class FleetMember:
    """What follows from its session."""

    def __init__(self, session: DaemonSession, parts: SharedParts) -> None:
        self.owned: frozenset[str] = frozenset()
        """The connections that are this daemon's at the moment, and `SHARED_DUTIES` where those are."""
        self._session = session
        self._parts = parts
        self._state = parts.writer.state
        self._mirror = SharedMirror(parts.writer, parts.ledger)
        self._rows = SharedRows(parts.backend.requests, parts.writer, booker=parts.backend.booker)
        self._fleet = session.fleet
        self._clock = session.clock
        self._polls = PollForwarding(PollRequests(session.fleet), session.run, clock=session.clock)
        self._writes = WriteForwarding(ForwardedWrites(session.fleet), session.run, writer=parts.backend.object_writer)
        parts.backend.object_writer.elsewhere = self._elsewhere
        self._stand_ins: dict[str, FollowedConnection] = {}
        self._health: dict[str, str] = {}
        """The health of the connections of others, as it was told last."""
        self._untold: set[str] = set()
        """Connections whose health was not told yet."""
        self._is_begun, self._has_owned, self._followed_at = False, False, 0.0
        self._declared: frozenset[str] | None = None
        self._claim_at = self._hand_over_at = self._forget_at = 0.0
        self._is_owning = False
        """Whether something may be polled, or carried on, that another daemon takes over when this one is late."""
        self._fault = ""
        """What the last turn ran into that nobody had expected."""
        self._duties = SharedDuties(parts.duties)
        self._shown = ShownDaemons(session, self._state)
        parts.backend.sharing = self._shown.view
        parts.writer.publisher.keeps = self._keeps_snapshot

    async def run(self) -> None:
        """Live among the others. Ends by SessionEnded."""
        polled = self._parts.polling.on_polled = lambda name: self._untold.add(name)
        self._parts.backend.booker.on_refused = polled
        self._parts.polling.stand_in = self._stand_in
        self._parts.backend.requests.shown_upto = lambda: self._session.rows_upto
        try:
            while True:
                await self._watch(asyncio.create_task(self._take_turn(), name="a turn among daemons"))
        finally:
            await self._duties.end()
            await self._polls.close()
            await self._writes.close()

    async def _watch(self, turn: asyncio.Task[None]) -> None:
        """Wait for a turn, but no longer than the session lives. Whatever one runs into, the next one comes."""
        try:
            while not turn.done():
                await asyncio.wait((turn,), timeout=_WATCH_EVERY)
                if self._session.is_late and self._is_owning:
                    turn.cancel()
                    await asyncio.wait((turn,))
                    await self._let_go()
        finally:
            turn.cancel()  # nothing where it has ended
            await asyncio.wait((turn,))
        if turn.cancelled():
            return
        try:
            turn.result()
        except SessionEnded:
            if self._is_owning:
                await self._let_go()
            await self._session.end()
        except StorageError as error:
            self._session.note_trouble(error)
            self._state.storage.note(error, now=self._clock.now())
            await self._clock.sleep(_FOLLOW_EVERY)
        except Exception as error:
            if repr(error) != self._fault:
                logger.exception("internal error in sharing the database with other daemons; trying again")
            self._fault = repr(error)
            await self._clock.sleep(_FOLLOW_EVERY)
        else:
            self._fault = ""

    async def _take_turn(self) -> None:
        is_waiting = self._polls.is_waiting or self._writes.is_waiting
        await self._session.wait(_ASK_EVERY if is_waiting else _FOLLOW_EVERY)
        if self._clock.monotonic() >= self._claim_at:
            self._duties.keep()
            await self._look_for_connections()
            await self._look_for_secrets()
            self._claim_at = self._clock.monotonic() + _CLAIM_EVERY
        await self._report()
        await self._polls.serve(self._parts.polling, owned=self.owned, report=self._report_one)
        await self._writes.serve()
        outcomes = await self._writes.collect()
        await self._polls.following(self._follow)
        self._writes.tell(outcomes)

    async def _report(self) -> None:
        """Tell the others the health of the connections of this daemon."""
        names = self._untold & self.owned
        self._untold -= names
        schedules, state = self._parts.polling.schedules, self._state
        told = {
            name: health_of(
                state.connections[name], is_refused=schedules[name].is_refused, refused_rows=self._rows.refused(name)
            )
            for name in names & schedules.keys() & state.connections.keys()
        }
        if told:
            try:
                await self._session.run(functools.partial(self._fleet.report, told))
            except BaseException:
                self._untold |= names
                raise

    async def _report_one(self, name: str) -> bool:
        """Tell it of one; whether that is in trouble."""
        self._untold.add(name)
        await self._report()
        return name in self.owned and bool(self._state.connection_state(name).trouble)

    def _stand_in(self, name: str) -> FollowedConnection:
        if name not in self._stand_ins:
            self._stand_ins[name] = FollowedConnection(name, self._state, clock=self._clock, ask=self._polls.ask)
        return self._stand_ins[name]

    def _elsewhere(self, connection: str) -> ForwardOperation | None:
        return None if connection in self.owned else self._writes.forwarder(connection)

    async def _look_for_connections(self) -> None:
        wanted = frozenset(self._state.connections)
        if not self._is_begun:
            await self._follow()  # first: others hand over to whoever has declared what it would take
        if wanted != self._declared:
            await self._session.run(functools.partial(self._fleet.declare, wanted))
            self._declared = wanted
        for name in await self._session.run(self._fleet.take_over):
            logger.warning("the daemon %s has not renewed its session: others take over its connections", name)
        owned = await self._session.run(functools.partial(self._fleet.claim, _AT_ONCE))
        left = owned - wanted - {SHARED_DUTIES}
        if self._clock.monotonic() >= self._hand_over_at:
            self._hand_over_at = self._clock.monotonic() + _HAND_OVER_EVERY
            excess = await self._session.run(self._fleet.excess)
            left |= {name for name in excess if self._is_idle(name)}
        if owned - left != self.owned or not self._has_owned:
            await self._own(owned - left)
        if left:
            await self._session.run(functools.partial(self._fleet.release, left))
        if SHARED_DUTIES in self.owned and self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + _FORGET_EVERY
            await self._session.forget(before=Instant(self._clock.now() - _FOLLOWED_WITHIN))
        await self._shown.refresh()

    async def _look_for_secrets(self) -> None:
        """Take up passwords that were changed on any machine."""
        await self._session.look_for_secrets()
        self._parts.polling.take_secrets(self._session.take_changed_secrets())

    def _keeps_snapshot(self, profile_state: ProfileState) -> bool:
        """Whether the first connection that a profile names is this daemon's."""
        return min(connections_of(profile_state.profile), default="") in self.owned

    def _is_idle(self, name: str) -> bool:
        """Whether nothing would be broken off if a connection was handed over: a poll would be made twice."""
        connection_state = self._state.connections.get(name)
        if connection_state is not None and name in self._parts.polling.schedules:
            due = connection_state.next_poll  # None: the first poll is under way
            if due is None or due <= self._clock.now():
                return False
        return self._rows.is_idle(name)

    async def _own(self, names: frozenset[str]) -> None:
        """Have these connections, and no others, be this daemon's."""
        kept, gained, lost = self.owned & names, names - self.owned, self.owned - names
        self.owned = kept  # whatever fails, the rest is taken at the next turn
        if SHARED_DUTIES in lost:
            await self._duties.end()
            await self._parts.recorder.pause()
        self._is_owning = True
        await self._parts.polling.own(kept)  # before what others write of the rest is taken
        await self._rows.own(kept - {SHARED_DUTIES})
        await self._parts.polling.settle()
        await self._follow()  # what their last owner has written
        await self._parts.polling.own(names)
        await self._rows.own(names - {SHARED_DUTIES})
        if SHARED_DUTIES in gained:
            rows = await self._parts.ledger.outbox(lambda outbox: outbox.unsettled(EARLIEST))
            await self._parts.recorder.resume(rows)
            self._duties.begin()
        self.owned, self._has_owned = names, True
        self._parts.backend.reloads.started()
        self._untold |= gained
        self._health = {name: told for name, told in self._health.items() if name not in names}
        mine = len(names - {SHARED_DUTIES})
        logger.info("%d of the %d connections are this daemon's", mine, len(self._declared or ()))

    async def _follow(self) -> None:
        """Take what others have written since the last time."""
        shown, state, begun = self._rows.take_shown(), self._state, self._clock.monotonic()
        known = FollowedFrom(
            self.owned.__contains__,
            self._parts.writer.horizon,
            {number: record.connection for number, record in state.calendars.items()},
            [name for name, one in state.connections.items() if not one.listed],
            shown,
            is_begun=self._is_begun and begun - self._followed_at < _HEARD_WITHIN,
            index_version=self._parts.writer.store.index_version,
        )
        accepted = dict(state.problems.accepted)
        try:
            found = await self._session.read(known)
            if state.problems.accepted == accepted:  # else somebody has accepted one meanwhile
                await self._parts.backend.accepted_problems.follow(found.accepted)
            await self._rows.show(found.rows)  # first: what is proved then is not free where they are
            told = {name for name, health in found.health.items() if self._health.get(name) != health}
            shown_at = begun
            for name in found.connections.keys() | told:
                if name not in self.owned and name in state.connections:
                    await self._follow_connection(name, found=found)
                    if self._clock.monotonic() - shown_at > _FOLLOW_EVERY:  # own polls go on meanwhile, and prove
                        shown_at = self._clock.monotonic()
                        await self._rows.show(await self._session.read_rows())
            self._rows.go_on(found.rows)
        except BaseException:
            self._rows.show_again(shown)
            raise
        self._session.take(found)
        self._followed_at, self._is_begun = begun, True
        if found.newest > self._parts.changes.newest:
            await self._parts.changes.catch_up()
        self._shown.view.followed_at = begun

    async def _follow_connection(self, name: str, *, found: Followed) -> None:
        if (moved := found.connections.get(name)) is not None:
            await self._mirror.follow(name, moved)
        told = found.health.get(name) if name not in self._mirror.foreign else None
        if told is not None and self._health.get(name) != told:
            self._health[name] = told
            health = take_health(self._state, name, told=told)
            self._stand_in(name).is_refused = health.is_refused
            await self._rows.take_refused(name, health.refused_rows)
        await self._parts.writer.publisher.tell_changes((name,))
        await self._rows.compare(name)

    async def _let_go(self) -> None:
        """Stop polling and carrying rows on: another daemon may soon do both. Nothing is waited for before that."""
        logger.warning("the session in the database was not renewed in time; nothing is polled until it is")
        self.owned, self._is_owning, polling = frozenset(), False, self._parts.polling
        polling.halt()
        self._rows.halt()
        ends = polling.own(()), self._rows.own(()), self._duties.end(), self._parts.recorder.pause()
        await asyncio.gather(*ends, return_exceptions=True)
