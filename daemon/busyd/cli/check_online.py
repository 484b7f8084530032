"""The part of `busyd check` that asks the servers: does every login work, and is every calendar there? Read-only."""

import asyncio
from collections.abc import Mapping, Set
from typing import Any

from msgspec import Struct, field

from busyd.advice.diagnosis import Diagnosis, Outcome
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.references import is_writable, links_of, reference_faults, remembered_links
from busyd.cli.remote_session import STATUS_OF, open_session, print_diagnosis, read_secret_of
from busyd.cli.terminal import print_note, print_table
from busyd.clock import SystemClock
from busyd.config import Config, ConfigFault, ConnectionConfig
from busyd.connection import RemoteCalendar
from busyd.credentials import CredentialMissing
from busyd.errors import RemoteError, UserError


class OnlineCheck(Struct, frozen=True):
    """What the servers say about a configuration."""

    calendars: Mapping[str, tuple[RemoteCalendar, ...]]
    """By connection, for those that could be listed."""
    troubles: Mapping[str, Diagnosis]
    """By connection, for those that could not."""
    faults: tuple[ConfigFault, ...]
    remembered: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> ExitStatus:
        """What a person must correct comes before what may pass by itself."""
        outcomes = {diagnosis.outcome for diagnosis in self.troubles.values()}
        if self.faults:
            outcomes.add(Outcome.CONFIGURATION)
        return next((STATUS_OF[outcome] for outcome in Outcome if outcome in outcomes), ExitStatus.OK)


def ask_servers(installation: Installation) -> OnlineCheck:
    """Log into every connection, list its calendars, resolve every reference."""
    config, remembered = installation.config, remembered_links(installation.state)
    answers = asyncio.run(_ask_all(installation, {reference.partition("/")[0] for reference in remembered}))
    calendars = {name: answer for name, answer in answers.items() if isinstance(answer, tuple)}
    troubles = {name: answer for name, answer in answers.items() if isinstance(answer, Diagnosis)}
    return OnlineCheck(
        calendars, troubles, tuple(reference_faults(config, calendars, remembered=remembered)), remembered
    )


def print_check(config: Config, check: OnlineCheck) -> None:
    """Errors and failed logins on standard error, the calendars on standard output."""
    for fault in check.faults:
        print_note(str(fault))
    for name, diagnosis in check.troubles.items():
        print_diagnosis(diagnosis, about=f"connection {name}")
    rows = [
        (
            profile_link.profile,
            profile_link.link.role.value,
            profile_link.link.label,
            profile_link.calendar.id,
            "read and write" if is_writable(profile_link.calendar) else "read-only",
        )
        for profile_link in links_of(config, check.calendars, remembered=check.remembered)
        if profile_link.calendar is not None
    ]
    for name, listed in check.calendars.items():
        print(f"connection {name}: ok, {len(listed)} calendar{'' if len(listed) == 1 else 's'}")
    if rows:
        print()
        print_table(("PROFILE", "ROLE", "CALENDAR", "ID", "ACCESS"), rows)


def describe_check(config: Config, check: OnlineCheck) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "logins": [
            {"name": name, "ok": name in check.calendars, **_describe_trouble(check.troubles.get(name))}
            for name in config.connections
        ],
        "links": [
            {
                "profile": profile_link.profile,
                "role": profile_link.link.role.value,
                "calendar": profile_link.link.label,
                "id": profile_link.calendar.id,
                "href": profile_link.calendar.shown_href,
                "writable": is_writable(profile_link.calendar),
            }
            for profile_link in links_of(config, check.calendars, remembered=check.remembered)
            if profile_link.calendar is not None
        ],
    }


def _describe_trouble(diagnosis: Diagnosis | None) -> dict[str, Any]:
    if diagnosis is None:
        return {}
    return {"code": diagnosis.code, "message": diagnosis.message, "steps": list(diagnosis.steps)}


async def _ask_all(installation: Installation, known: Set[str]) -> dict[str, tuple[RemoteCalendar, ...] | Diagnosis]:
    """`known` are the connections that were listed before: there, a refused login means a revoked password."""
    connections = installation.config.connections
    answers = await asyncio.gather(
        *(_ask(settings, installation, worked_before=name in known) for name, settings in connections.items())
    )
    return dict(zip(connections, answers, strict=True))


async def _ask(
    settings: ConnectionConfig, installation: Installation, *, worked_before: bool
) -> tuple[RemoteCalendar, ...] | Diagnosis:
    connection = settings.connection
    try:
        secret = await read_secret_of(settings, installation)
        async with open_session(connection, secret, clock=SystemClock(), announce_wait=True) as session:
            try:
                return await session.list_calendars()
            except RemoteError as error:
                return await session.explain(error, worked_before=worked_before)
    except CredentialMissing as error:
        return Diagnosis("auth.no-password", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
    except UserError as error:
        return Diagnosis("configuration", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
