"""From an error that a command met, and what else was seen, to what happened and the steps to take. Pure.

iCloud refuses every kind of wrong login in the same way, so the possible causes are listed, the likeliest first. No
password, user name or calendar is ever repeated.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.advice import apple
from busyd.advice.errors import next_step
from busyd.advice.network import NETWORK, SIGN_IN
from busyd.connection import ICLOUD_URL, Connection, ConnectionKind
from busyd.dav.errors import Forbidden, LoginRefused, MalformedResponse, NotFound, ServerFault, TooManyRequests
from busyd.dav.href import host_of
from busyd.errors import BusydError, UserError
from busyd.period import Instant
from busyd.remote.certificate import Certificate
from busyd.remote.errors import (
    FeedIsWebPage,
    FeedRefused,
    MissingPassword,
    NotAppSpecific,
    PrivateAddress,
    Trouble,
    Unreachable,
    UnsafeRedirect,
)
from busyd.store.errors import StorageError

SKEW: Final = 300
"""Seconds by which two clocks may differ before it is worth mentioning."""

_CALENDARS_OFF: Final = "Calendars must be on in Settings > your name > iCloud; a new account takes some minutes"
_APPLE_DOMAINS: Final = ("@icloud.com", "@me.com", "@mac.com")


_WEB_PAGE: Final = (
    "check the url: it must be the address of a calendar feed, not of its web page",
    "if it is, its host serves it only to certain programs: set user_agent of the connection to what one of them sends",
    SIGN_IN,
)


class Outcome(StrEnum):
    """What kind of failure it is, for an exit status."""

    CONFIGURATION = "configuration"
    LOGIN = "login"
    UNAVAILABLE = "unavailable"
    LATER = "later"


class Surroundings(Struct, frozen=True):
    """What else was seen when a connection failed; the defaults mean that nobody looked."""

    now: Instant
    skew: int | None = None
    """Seconds by which this machine's clock is ahead of the server's Date header; negative when it is behind."""
    web_page: bool = False
    """The last answer was a web page, not a refusal of a CalDAV server."""
    proxy_variable: str = ""
    """The environment variable that names a proxy, where there is one."""
    app_specific: bool = True
    """The password that was refused has the shape of an app-specific one."""
    worked_before: bool = False
    """This login has worked in the past."""
    certificate: Certificate | None = None


class Diagnosis(Struct, frozen=True):
    """What happened and what to do about it."""

    code: str
    """Stable, for programs: `auth.apple.rejected`."""
    outcome: Outcome
    message: str
    """One sentence: what happened, and where."""
    steps: tuple[str, ...] = ()
    """What to do, the likeliest first."""


def diagnose(error: BusydError, connection: Connection, *, seen: Surroundings) -> Diagnosis:
    """What an error of a connection means. Never raises; an unforeseen error is reported as it is."""
    host = getattr(error, "host", "") or host_of(connection.url)
    match error:
        case MissingPassword():
            step = f"store it with `busyd credential set {connection.name}`"
            return Diagnosis("auth.no-password", Outcome.LOGIN, str(error), (step,))
        case NotAppSpecific():
            steps = apple.steps_to_an_app_password(connection.name)
            return Diagnosis("auth.apple.not-app-specific", Outcome.LOGIN, str(error), steps)
        case LoginRefused() if connection.kind is ConnectionKind.ICLOUD:
            return _apple_login(host, connection, seen=seen)
        case LoginRefused():
            return _login(host)
        case Unreachable(kind=Trouble.TLS):
            return _tls(error, host, connection=connection, seen=seen)
        case Unreachable():
            return _network(error, host, connection=connection, seen=seen)
        case UnsafeRedirect() if connection.kind is ConnectionKind.ICLOUD and error.target.endswith(".icloud.com.cn"):
            step = "for an Apple Account of mainland China, set url: https://caldav.icloud.com.cn/"
            return Diagnosis("server.redirect", Outcome.CONFIGURATION, str(error), (step,))
        case UnsafeRedirect() if connection.kind is ConnectionKind.ICLOUD:
            return _captive_portal(host)
        case UnsafeRedirect():
            return Diagnosis("server.redirect", Outcome.CONFIGURATION, str(error), (next_step(error),))
        case PrivateAddress():
            return _private(error, host, connection=connection)
        case TooManyRequests():
            wait = "wait a quarter of an hour before trying again; trying sooner prolongs the block"
            return Diagnosis("server.throttled", Outcome.LATER, str(error), (wait,))
        case ServerFault() if error.status >= 500:
            return Diagnosis("server.fault", Outcome.UNAVAILABLE, str(error), _wait(connection))
        case FeedIsWebPage():
            message = f"what answers at {host} is not a calendar feed: {error.reason}"
            return Diagnosis("feed.web-page", Outcome.CONFIGURATION, message, _WEB_PAGE)
        case MalformedResponse():
            return _not_caldav(error, host, connection=connection, seen=seen)
        case ServerFault() | Forbidden() | NotFound():
            return _refused(error, host, connection=connection, seen=seen)
        case FeedRefused():
            outcome = Outcome.LOGIN if error.status in (401, 403) else Outcome.UNAVAILABLE
            return Diagnosis("feed.refused", outcome, str(error), (next_step(error),))
        case StorageError():
            return Diagnosis("store", Outcome.LATER, str(error), (error.fix,) if error.fix else ())
        case UserError():
            return Diagnosis("configuration", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
    return Diagnosis("server.unexpected", Outcome.UNAVAILABLE, str(error))


COMPARE_CONFIGURATIONS: Final = (
    "compare what `busyd config show` prints on each machine, and run `busyd reload` where a file was changed"
)
"""What to do where daemons on one database answer by different configurations."""


def describe_clock(skew: int | None, *, other: str = "server") -> str:
    """A sentence when this machine's clock differs from another by more than `SKEW`, else an empty text."""
    if skew is None or abs(skew) <= SKEW:
        return ""
    seconds = abs(skew)
    difference = f"{seconds // 86400} days" if seconds >= 2 * 86400 else f"{seconds // 3600} h {seconds // 60 % 60} min"
    return f"this machine's clock is {difference} {'ahead of' if skew > 0 else 'behind'} the {other}'s"


def _login(host: str) -> Diagnosis:
    steps = (
        "check the user name: some servers want the e-mail address, some the short name",
        "check the password; if two-factor authentication is on, the server wants an app password",
        "check that the url is the server's CalDAV address, not that of another service there",
    )
    return Diagnosis("auth.refused", Outcome.LOGIN, f"{host} refused the user name or the password", steps)


def _apple_login(host: str, connection: Connection, *, seen: Surroundings) -> Diagnosis:
    wrong_kind = f"the Apple Account password itself never works here: {apple.CREATE_APP_PASSWORD}, and use that"
    revoked = (
        "changing or resetting the Apple Account password revokes all app-specific passwords, and each can be revoked "
        f"individually: create a new one at {apple.APP_PASSWORDS}"
    )
    alias = (
        f"the Apple ID is the address you sign in with at account.apple.com (see {apple.EMAIL_ADDRESSES}); an alias of "
        "the mailbox is refused"
    )
    if not seen.app_specific:
        message = f"{host} refused the password, which is not an app-specific one"
        return Diagnosis(
            "auth.apple.ordinary-password", Outcome.LOGIN, message, (wrong_kind, apple.NO_TWO_FACTOR, alias)
        )
    if seen.worked_before:
        message = f"{host} refused a password that used to work: it was revoked"
        store = f"store the new one with `busyd credential set {connection.name}`; busyd notices the change by itself"
        return Diagnosis("auth.apple.revoked", Outcome.LOGIN, message, (revoked, store, alias))
    message = f"{host} refused this Apple ID with this app-specific password, without saying why"
    mistyped = "check the password for typing mistakes: it has four groups of four letters (xxxx-xxxx-xxxx-xxxx)"
    order = [mistyped, wrong_kind, apple.NO_TWO_FACTOR, revoked, alias, _CALENDARS_OFF]
    if connection.username.strip().lower().endswith(_APPLE_DOMAINS):
        # People who sign in with another address tend to type the iCloud one here.
        order = [mistyped, alias, wrong_kind, apple.NO_TWO_FACTOR, revoked, _CALENDARS_OFF]
    return Diagnosis("auth.apple.rejected", Outcome.LOGIN, message, tuple(order))


def _network(error: Unreachable, host: str, *, connection: Connection, seen: Surroundings) -> Diagnosis:
    code, message, steps = NETWORK[error.kind]
    todo = tuple(step.format(host=host) for step in steps)
    if connection.url != ICLOUD_URL and error.kind in (Trouble.DNS, Trouble.REFUSED, Trouble.NO_TLS, Trouble.PROTOCOL):
        todo = ("check the url and its port for typing mistakes", *todo)
    if seen.proxy_variable:
        todo = (
            f"{seen.proxy_variable} names a proxy, but busyd connects directly: allow this machine to reach {host} "
            "without the proxy",
            *todo,
        )
    return Diagnosis(code, Outcome.UNAVAILABLE, message.format(host=host), todo)


def _tls(error: Unreachable, host: str, *, connection: Connection, seen: Surroundings) -> Diagnosis:
    detail = error.detail.lower()
    clock = _clock_step(seen)
    shown = seen.certificate
    if "not yet valid" in detail or ("expired" in detail and (seen.skew or 0) > SKEW):
        message = f"the certificate of {host} is not valid at the time this machine's clock shows; the clock is wrong"
        return Diagnosis("tls.clock", Outcome.UNAVAILABLE, message, (clock,))
    if "expired" in detail:
        until = f" on {_day(shown.not_after)}" if shown else ""
        message = f"the certificate of {host} expired{until}"
        steps = (clock, "if the clock is right, the server's operator must renew it")
        return Diagnosis("tls.expired", Outcome.UNAVAILABLE, message, steps)
    issued = f"; the certificate was issued by {shown.issuer}" if shown and shown.issuer else ""
    message = f"what answers at {host} cannot prove that it is that server ({error.detail or 'TLS failed'}){issued}"
    inspected = f"a company proxy may intercept encrypted connections: have {host} exempted; nothing was sent to it"
    own = "if it is your own server with a certificate of your own, add its CA to this machine's trusted ones"
    others = () if connection.kind is ConnectionKind.ICLOUD else (own,)
    return Diagnosis("tls.untrusted", Outcome.UNAVAILABLE, message, (*others, SIGN_IN, inspected, clock))


def _clock_step(seen: Surroundings) -> str:
    difference = describe_clock(seen.skew)
    if difference:
        return f"set the clock (`timedatectl set-ntp true`): {difference}"
    return f"check this machine's clock, which shows {_day(seen.now)} (`timedatectl set-ntp true` sets it)"


def _day(moment: Instant) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _captive_portal(host: str) -> Diagnosis:
    message = f"something in between answered instead of {host}, most likely the login page of a network"
    steps = (
        "open a web page in a browser, sign in to the network, and try again",
        "if there is no such page, a proxy is interfering: allow this machine to reach the server directly",
    )
    return Diagnosis("network.captive-portal", Outcome.UNAVAILABLE, message, steps)


def _not_caldav(error: BusydError, host: str, *, connection: Connection, seen: Surroundings) -> Diagnosis:
    if connection.kind is ConnectionKind.ICLOUD:
        if seen.web_page:
            return _captive_portal(host)
        return Diagnosis("server.malformed", Outcome.UNAVAILABLE, str(error), _wait(connection))
    what = "a calendar feed" if connection.kind is ConnectionKind.ICS else "a CalDAV server"
    message = f"what answers at {host} is not {what}"
    steps = (f"check the url: it must be the address of {what}, not of its web page", *_captive_portal(host).steps[:1])
    return Diagnosis("server.not-caldav", Outcome.CONFIGURATION, message, steps)


def _refused(error: BusydError, host: str, *, connection: Connection, seen: Surroundings) -> Diagnosis:
    if connection.kind is not ConnectionKind.ICLOUD:
        step = "check the url: it must be the server's CalDAV address, a principal, or a calendar of this account"
        return Diagnosis("server.refused", Outcome.CONFIGURATION, str(error), (step,))
    if seen.web_page:
        return _captive_portal(host)
    return Diagnosis("server.refused", Outcome.UNAVAILABLE, str(error), (_CALENDARS_OFF, *_wait(connection)))


def _private(error: PrivateAddress, host: str, *, connection: Connection) -> Diagnosis:
    if connection.kind is not ConnectionKind.ICLOUD:
        return Diagnosis("network.private-address", Outcome.CONFIGURATION, str(error), (next_step(error),))
    message = f"{host} resolves to an address of the local network, where iCloud is not; nothing was sent there"
    steps = (
        *_captive_portal(host).steps[:1],
        "a name server of your network may redirect the name: ask its administrator",
    )
    return Diagnosis("network.private-address", Outcome.UNAVAILABLE, message, steps)


def _wait(connection: Connection) -> tuple[str, ...]:
    page = (f"see {apple.SYSTEM_STATUS} for the state of iCloud Calendar",)
    return ("try again in a few minutes", *(page if connection.kind is ConnectionKind.ICLOUD else ()))
