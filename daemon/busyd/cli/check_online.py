"""The part of `busyd check` that asks the servers: does every login work, and is every calendar there? Read-only."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from busyd.advice.diagnosis import Diagnosis, Outcome
from busyd.cli.counts_for_nobody import describe_all_uncounted
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.not_handed_out import describe_not_handed_out
from busyd.cli.references import Remembered, is_writable, links_of, reference_faults, remembered_links
from busyd.cli.remote_session import STATUS_OF, open_session, print_diagnosis, read_secret_of
from busyd.cli.terminal import print_note, print_reminders, print_table
from busyd.clock import SystemClock
from busyd.config import Config, ConfigFault, ConnectionConfig
from busyd.connection import RemoteCalendar
from busyd.credentials import CredentialMissing
from busyd.errors import RemoteError, UserError
from busyd.service.state_dir import machine_zone
from busyd.state.links import CalendarRole
from busyd.store.errors import StorageError


class _Answered(Struct, frozen=True):
    """What a connection has, once the login worked."""

    calendars: tuple[RemoteCalendar, ...]
    reminders: tuple[str, ...]
    not_handed_out: tuple[str, ...]
    uncounted: tuple[str, ...]


class OnlineCheck(Struct, frozen=True):
    """What the servers say about a configuration."""

    calendars: Mapping[str, tuple[RemoteCalendar, ...]]
    """By connection, for those that could be listed."""
    troubles: Mapping[str, Diagnosis]
    """By connection, for those that could not."""
    faults: tuple[ConfigFault, ...]
    remembered: Remembered = field(default_factory=dict)
    not_handed_out: tuple[str, ...] = ()
    """Sentences about linked calendars with events that are listed and cannot be had."""
    uncounted: tuple[str, ...] = ()
    """Sentences about calendars with much ahead that no profile counts."""
    reminders: tuple[str, ...] = ()
    """Reminders lists, as CONNECTION/NAME."""

    @property
    def status(self) -> ExitStatus:
        """What a person must correct comes before what may pass by itself."""
        outcomes = {diagnosis.outcome for diagnosis in self.troubles.values()}
        if self.faults:
            outcomes.add(Outcome.CONFIGURATION)
        return next((STATUS_OF[outcome] for outcome in Outcome if outcome in outcomes), ExitStatus.OK)


def ask_servers(installation: Installation) -> OnlineCheck:
    """Log into every connection, list its calendars, resolve every reference."""
    config, remembered = installation.config, remembered_links(installation)
    answers = asyncio.run(_ask_all(installation, remembered))
    read = {name: answer for name, answer in answers.items() if isinstance(answer, _Answered)}
    calendars = {name: answer.calendars for name, answer in read.items()}
    troubles = {name: answer for name, answer in answers.items() if isinstance(answer, Diagnosis)}
    return OnlineCheck(
        calendars,
        troubles,
        tuple(reference_faults(config, calendars, remembered=remembered)),
        remembered,
        tuple(sentence for answer in read.values() for sentence in answer.not_handed_out),
        tuple(sentence for answer in read.values() for sentence in answer.uncounted),
        tuple(f"{name}/{one}" for name, answer in read.items() for one in answer.reminders),
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
    rows += [(*names, "", "not known") for names in _not_listed(config, check)]
    for name, listed in check.calendars.items():
        print(f"connection {name}: ok, {len(listed)} calendar{'' if len(listed) == 1 else 's'}")
    for sentence in (*check.not_handed_out, *check.uncounted):
        print_note(f"warning: {sentence}")
    if rows:
        print()
        print_table(("PROFILE", "ROLE", "CALENDAR", "ID", "ACCESS"), rows)
    print_reminders(check.reminders)


def describe_check(config: Config, check: OnlineCheck) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "not_handed_out": list(check.not_handed_out),
        "uncounted": list(check.uncounted),
        "reminders": list(check.reminders),
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


def _not_listed(config: Config, check: OnlineCheck) -> list[tuple[str, str, str]]:
    """Profile, role and name of what is configured and not known, as its connection could not be listed."""
    named = [
        (profile.name, role, reference)
        for profile in config.profiles.values()
        for role, references in (
            (CalendarRole.PRIMARY, [profile.primary]),
            (CalendarRole.CONFLICT, profile.conflicts),
            (CalendarRole.BLOCKS, [profile.blocks]),
        )
        for reference in references
        if reference is not None
    ]
    return [
        (profile, role.value, str(reference))
        for profile, role, reference in named
        if reference.connection in check.troubles
    ]


def _describe_trouble(diagnosis: Diagnosis | None) -> dict[str, Any]:
    if diagnosis is None:
        return {}
    return {"code": diagnosis.code, "message": diagnosis.message, "steps": list(diagnosis.steps)}


async def _ask_all(installation: Installation, remembered: Remembered) -> dict[str, _Answered | Diagnosis]:
    connections = installation.config.connections
    answers = await asyncio.gather(
        *(_ask(settings, installation, remembered=remembered) for settings in connections.values())
    )
    return dict(zip(connections, answers, strict=True))


async def _ask(
    settings: ConnectionConfig, installation: Installation, *, remembered: Remembered
) -> _Answered | Diagnosis:
    """Where links are `remembered`, the login has worked before, and a refusal means a revoked password."""
    connection = settings.connection
    worked_before = any(
        reference.partition("/")[0] == connection.name for meant in remembered.values() for reference in meant
    )
    try:
        secret = await read_secret_of(settings, installation)
        async with open_session(connection, secret, clock=SystemClock(), announce_wait=True) as session:
            try:
                listing = await session.list()
                calendars = listing.calendars
                links = links_of(installation.config, {connection.name: calendars}, remembered=remembered)
                linked = {link.calendar.href: link.calendar for link in links if link.calendar is not None}
                zone = machine_zone(os.environ)
                uncounted = await describe_all_uncounted(session, calendars, counted=linked, zone=zone)
                not_handed_out = await describe_not_handed_out(session, linked.values())
                return _Answered(calendars, listing.reminders, not_handed_out, uncounted)
            except RemoteError as error:
                return await session.explain(error, worked_before=worked_before)
    except CredentialMissing as error:
        return Diagnosis("auth.no-password", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
    except StorageError as error:
        return Diagnosis("auth.no-password", Outcome.LATER, str(error), (error.fix,) if error.fix else ())
    except UserError as error:
        return Diagnosis("configuration", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
