"""Taking a changed configuration while the daemon runs: all of what can change without a restart, or nothing."""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec.structs import fields, replace

from busyd.availability.profile import Profile
from busyd.clock import Clock
from busyd.config import Config, ConfigFault, ConfigFaults, find_file_faults, find_socket_faults, load_config
from busyd.config.digest import config_digest
from busyd.credentials import FromEnvironment
from busyd.errors import TryAgain, UserError
from busyd.flow.reload import ReloadFault, ReloadOutcome
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.log import first_few, use_format
from busyd.own_thread import in_own_thread
from busyd.service.listening import Listening, Wanted

if TYPE_CHECKING:
    from busyd.service.polling import Polling

logger = logging.getLogger(__name__)

_KEYS: Final = {"calendar_rules": "calendars", "calendar_max_age": "calendars"}
"""Fields of a profile that the configuration calls otherwise."""
READ_WITHIN: Final = 20.0
"""Seconds for reading all files. systemd gives a reload TimeoutStartSec=, 60 s in the unit."""


class Reloader:
    """Reads the files again and applies them. `config` is what counts at the moment."""

    def __init__(self, path: Path, config: Config, *, writer: IndexWriter, listening: Listening, clock: Clock) -> None:
        self.config = config
        self._path = path
        self._started = config
        self._writer = writer
        self._listening = listening
        self._clock = clock
        self._reading: asyncio.Future[Wanted] | None = None
        """The last reading; not done when it was given up, and its thread still waits."""

    async def reload(self, polling: "Polling") -> ReloadOutcome:
        """Apply changed files without a gap in service; faulty ones change nothing. Raises StorageError."""
        state = self._writer.state
        wanted: Wanted | None = None
        try:
            wanted = await self._read_in_time()
            prepared = await self._listening.prepare(wanted)
        except ConfigFaults as error:
            faults = tuple(_fault(fault) for fault in error.faults)
            return self._refuse(ReloadOutcome("refused", faults=faults))
        except UserError as error:
            message = "; ".join(filter(None, (str(error), error.fix)))
            return self._refuse(ReloadOutcome("refused", faults=(self._place(message, wanted),)))
        config = wanted.config
        try:
            changed = await asyncio.to_thread(lambda: tuple(describe_changes(self.config, config)))
            digest = ""
            if state.config_digest:  # else nobody compares it
                digest = await asyncio.to_thread(config_digest, config, state.machine_zone)
            await state.reconfigure([one.connection for one in config.connections.values()], config.profiles.values())
            state.own_zones = config.time_zones
            state.config_digest = digest
            await Restore(self._writer).load_tables()
        except BaseException:
            prepared.close()
            raise
        changed = (*changed, *await self._listening.apply(prepared))
        use_format(config.log, os.environ)
        await polling.follow(config.connections)
        news = await polling.read_passwords()
        changed = (*changed, *(f"connection {name}: password" for name in news.changed))
        state.refused_configuration = ""
        state.publish()
        self.config = config
        warnings = (*config.warnings, *state.own.warnings(state.profiles))
        for warning in first_few(warnings):
            logger.warning("%s", warning)
        missing = tuple(f"profile {name}: {text}" for name in state.profiles for text in state.link_notes.faults(name))
        missing = (*missing, *news.unreadable)
        logger.info("the configuration was reloaded: %s", "; ".join(changed) or "nothing has changed")
        needs_restart = tuple(self._listening.needs_restart)
        needs_restart += tuple(key for key in ("state", "store") if getattr(config, key) != getattr(self._started, key))
        if needs_restart:
            logger.warning("changes of these keys count only after a restart: %s", ", ".join(needs_restart))
        outcome: Literal["applied", "restart-needed"] = "restart-needed" if needs_restart else "applied"
        return ReloadOutcome(outcome, changed, needs_restart, warnings=(*warnings, *missing), missing=missing)

    async def _read_in_time(self) -> Wanted:
        """Read the files, but do not wait for a file system that hangs. Raises UserError."""
        if self._reading is not None and not self._reading.done():
            raise _hangs("an earlier reload is still waiting for the configuration, or for a file that it names")
        self._reading = in_own_thread(self._read, name="read the configuration")
        late = asyncio.ensure_future(self._clock.sleep(READ_WITHIN))
        try:
            await asyncio.wait((self._reading, late), return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        if not self._reading.done():
            message = f"the configuration, or a file that it names, could not be read within {READ_WITHIN:g} s"
            raise _hangs(message)
        return self._reading.result()

    def _read(self) -> Wanted:
        """As at a start: what could not be started with is refused. Raises UserError."""
        config = load_config(self._path, os.environ)
        unset = find_unset_passwords(config, self.config, environment=os.environ)
        if faults := [*find_file_faults(config), *find_socket_faults(config), *unset]:
            raise ConfigFaults(faults)
        return Wanted.read(config)

    def _place(self, message: str, wanted: Wanted | None) -> ReloadFault:
        """Where what it is about is written: an address, or the file as a whole."""
        config = wanted.config if wanted is not None else Config()
        for listen in config.listen:
            if f" {listen}" in message and (place := config.locations.get(str(listen))):
                return ReloadFault(place.file, place.line, place.column, message)
        return ReloadFault(str(self._path), 1, 1, message)

    def _refuse(self, outcome: ReloadOutcome) -> ReloadOutcome:
        told = "\n".join(first_few([str(fault) for fault in outcome.faults]))
        logger.error("the configuration was not reloaded, the old one stays: %s", told)
        self._writer.state.refused_configuration = told
        self._writer.state.publish()
        return outcome


def _hangs(message: str) -> TryAgain:
    return TryAgain(message, fix="check the disk or the network file system it is on, then reload again")


def find_unset_passwords(new: Config, old: Config, *, environment: Mapping[str, str]) -> list[ConfigFault]:
    """Variables for passwords that a changed configuration names and this process does not have, nor ever will."""
    return [
        ConfigFault(
            new.locations[f"password of {name}"],
            f"password: the {settings.password} is not set for the daemon, and a running "
            "process gets no new ones; set it and restart busyd, or name another source",
        )
        for name, settings in new.connections.items()
        if isinstance(settings.password, FromEnvironment)
        and settings.password.name not in environment
        and ((before := old.connections.get(name)) is None or before.password != settings.password)
    ]


def describe_changes(old: Config, new: Config) -> Iterator[str]:
    """What another configuration changes in connections and profiles, in a few words each; never a value."""
    for name, settings in new.connections.items():
        known = old.connections.get(name)
        if known is None:
            yield f"connection {name}: added"
        elif known != settings:
            password = ["password"] if known.password != settings.password else []
            yield f"connection {name}: {', '.join([*_differences(known.connection, settings.connection), *password])}"
    yield from (f"connection {name}: removed" for name in old.connections if name not in new.connections)
    for name, profile in new.profiles.items():
        before = old.profiles.get(name)
        if before is None:
            yield f"profile {name}: added"
        elif keys := [*_differences(_without_locations(before), _without_locations(profile))]:
            yield f"profile {name}: {', '.join(dict.fromkeys(_KEYS.get(key, key) for key in keys))}"
    yield from (key for key in ("time_zones", "log") if getattr(old, key) != getattr(new, key))
    yield from (f"profile {name}: removed" for name in old.profiles if name not in new.profiles)


def _differences(one: Any, other: Any) -> Iterator[str]:
    return (field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name))


def _without_locations(profile: Profile) -> Profile:
    """A line that was moved changes nothing."""
    rules = {reference: replace(rules, origin={}) for reference, rules in profile.calendar_rules.items()}
    return replace(profile, primary_blocks_origin="", rules=replace(profile.rules, origin={}), calendar_rules=rules)


def _fault(fault: ConfigFault) -> ReloadFault:
    return ReloadFault(fault.location.file, fault.location.line, fault.location.column, fault.message)
