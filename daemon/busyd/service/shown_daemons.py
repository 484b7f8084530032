"""What is shown of the daemons that share a database: who polls what, and how they are."""

import functools
import logging
from collections.abc import Iterable

from busyd.advice.diagnosis import describe_clock
from busyd.clock import SystemClock
from busyd.flow.sharing import DaemonView, SharingView
from busyd.service.session import DaemonSession
from busyd.state.state import State
from busyd.store.postgresql.fleet import ConnectionOwner
from busyd.store.postgresql.fleet_view import oldest_write, read_daemons

logger = logging.getLogger(__name__)


class ShownDaemons:
    """Keeps what is shown current; `view` is for whoever asks."""

    def __init__(self, session: DaemonSession, state: State) -> None:
        self._session = session
        self._state = state
        self.view = SharingView()
        self._told_digest = ""
        """Of the configuration, as the others were told last."""
        self._is_told = False
        """Whether it was logged that the machine's clock is wrong."""

    async def refresh(self) -> None:
        """Read it anew. Raises StorageError."""
        fleet, digest = self._session.fleet, self._state.config_digest
        if digest != self._told_digest:
            await self._session.run(functools.partial(fleet.tell_config_digest, digest))
            self._told_digest = digest
        self._show_owners(await self._session.run(fleet.owners))
        own = fleet.server.session
        self.view.daemons = [
            DaemonView(
                one.name,
                one.address,
                one.until,
                one.connections,
                is_this=one.session == own,
                same_configuration=one.config_digest == digest if one.left > 0 and one.config_digest else None,
            )
            for one in await self._session.run(functools.partial(read_daemons, fleet))
        ]
        self.view.oldest_write = await self._session.run(functools.partial(oldest_write, fleet))
        self._show_clock()

    def _show_clock(self) -> None:
        self.view.clock_ahead = SystemClock().now() - self._session.clock.now()
        fault = describe_clock(self.view.clock_ahead, other="database")
        if fault and not self._is_told:
            logger.warning("%s; everything but the log is dated by the database", fault)
        self._is_told = bool(fault)

    def _show_owners(self, owners: Iterable[ConnectionOwner]) -> None:
        names = {owner.connection: owner.name for owner in owners}
        for name, connection_state in self._state.connections.items():
            if connection_state.owner != (owner := names.get(name, "")):
                connection_state.owner = owner
                self._state.publish(connections=(name,))
