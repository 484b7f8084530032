"""The part of `busyd check` that asks the servers: does every login work, and is every calendar there? Read-only."""

import asyncio
from collections.abc import Mapping, Set
from typing import Any

from msgspec import Struct, field

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.references import is_writable, links_of, reference_faults, remembered_links
from busyd.cli.remote_session import STATUS_OF, open_contact, print_diagnosis, read_secret_of
from busyd.cli.terminal import print_note, print_table
from busyd.clock import SystemClock
from busyd.config import Config, ConnectionConfig, Fault
from busyd.connection import RemoteCalendar
from busyd.credentials import CredentialMissing
from busyd.errors import RemoteError, UserError
from busyd.remote.diagnosis import Diagnosis, Outcome


class OnlineCheck(Struct, frozen=True):
    """What the servers say of a configuration."""

    calendars: Mapping[str, tuple[RemoteCalendar, ...]]
    """Of the connections that could be listed."""
    troubles: Mapping[str, Diagnosis]
    """Of those that could not."""
    faults: tuple[Fault, ...]
    remembered: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> ExitStatus:
        """What a person must mend comes before what may pass by itself."""
        outcomes = {diagnosis.outcome for diagnosis in self.troubles.values()}
        if self.faults:
            outcomes.add(Outcome.CONFIGURATION)
        return next((STATUS_OF[outcome] for outcome in Outcome if outcome in outcomes), ExitStatus.OK)


def ask_servers(found: Installation) -> OnlineCheck:
    """Log into every connection, list its calendars, resolve every reference."""
    config, remembered = found.config, remembered_links(found.state)
    answers = asyncio.run(_ask_all(found, {reference.partition("/")[0] for reference in remembered}))
    calendars = {name: answer for name, answer in answers.items() if isinstance(answer, tuple)}
    troubles = {name: answer for name, answer in answers.items() if isinstance(answer, Diagnosis)}
    return OnlineCheck(calendars, troubles, tuple(reference_faults(config, calendars, remembered)), remembered)


def print_check(config: Config, check: OnlineCheck) -> None:
    """Faults and failed logins on standard error, what was found on standard output."""
    for fault in check.faults:
        print_note(str(fault))
    for name, diagnosis in check.troubles.items():
        print_diagnosis(diagnosis, about=f"connection {name}")
    rows = [
        (
            one.profile,
            one.link.role.value,
            one.link.label,
            one.calendar.id,
            "read and write" if is_writable(one.calendar) else "read only",
        )
        for one in links_of(config, check.calendars, check.remembered)
        if one.calendar is not None
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
                "profile": one.profile,
                "role": one.link.role.value,
                "calendar": one.link.label,
                "id": one.calendar.id,
                "href": one.calendar.shown_href,
                "writable": is_writable(one.calendar),
            }
            for one in links_of(config, check.calendars, check.remembered)
            if one.calendar is not None
        ],
    }


def _describe_trouble(diagnosis: Diagnosis | None) -> dict[str, Any]:
    if diagnosis is None:
        return {}
    return {"code": diagnosis.code, "message": diagnosis.message, "steps": list(diagnosis.steps)}


async def _ask_all(found: Installation, known: Set[str]) -> dict[str, tuple[RemoteCalendar, ...] | Diagnosis]:
    """`known` are the connections whose calendars were found before: there a refused login is a revoked password."""
    connections = found.config.connections
    answers = await asyncio.gather(
        *(_ask(settings, found, worked_before=name in known) for name, settings in connections.items())
    )
    return dict(zip(connections, answers, strict=True))


async def _ask(
    settings: ConnectionConfig, found: Installation, *, worked_before: bool
) -> tuple[RemoteCalendar, ...] | Diagnosis:
    connection = settings.connection
    try:
        secret = await read_secret_of(settings, found)
        async with open_contact(connection, secret, SystemClock(), patience=True) as contact:
            try:
                return await contact.list_calendars()
            except RemoteError as error:
                return await contact.explain(error, worked_before=worked_before)
    except CredentialMissing as error:
        return Diagnosis("auth.no-password", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
    except UserError as error:
        return Diagnosis("configuration", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
