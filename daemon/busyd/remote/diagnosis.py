"""From what happened to what a person should do. Pure: an error and what else was seen go in, words come out.

iCloud answers every kind of wrong login alike, so the causes are told in the order in which what was seen makes them
likely. Nothing is asked of the network here, and no password, address or calendar is ever repeated.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.connection import ICLOUD_URL, Connection, ConnectionKind
from busyd.dav.errors import Forbidden, LoginRefused, MalformedResponse, NotFound, ServerFault, TooManyRequests
from busyd.dav.href import host_of
from busyd.errors import BusydError, UserError
from busyd.period import Instant
from busyd.remote.errors import FeedRefused, PrivateAddress, Trouble, Unreachable, UnsafeRedirect

MENU: Final = "account.apple.com > Sign-In and Security > App-Specific Passwords"
SKEW: Final = 300
"""Seconds by which two clocks may differ before it is worth a word."""

_STATUS_PAGE: Final = "www.apple.com/support/systemstatus"
_SWITCHED_OFF: Final = "in Settings > your name > iCloud, Calendars must be on; a new account takes some minutes"
_ALIASES: Final = ("@icloud.com", "@me.com", "@mac.com")


class Outcome(StrEnum):
    """What kind of failure it is, for an exit status."""

    CONFIGURATION = "configuration"
    LOGIN = "login"
    UNAVAILABLE = "unavailable"
    LATER = "later"


class Certificate(Struct, frozen=True):
    """A certificate as it was shown, without a word about whether it may be trusted."""

    not_before: Instant
    not_after: Instant
    issuer: str
    """The issuing organisation or name: a company's name here gives an intercepting proxy away."""


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
    """Stable and for machines: `auth.apple.rejected`."""
    outcome: Outcome
    message: str
    """One sentence: what happened, and where."""
    steps: tuple[str, ...] = ()
    """What to do, the likeliest first."""


def diagnose(error: BusydError, connection: Connection, seen: Surroundings) -> Diagnosis:
    """The words for an error that a connection met. Never raises; an error nobody foresaw is told as it is."""
    host = getattr(error, "host", "") or host_of(connection.url)
    match error:
        case LoginRefused():
            return _login(error, host, connection, seen)
        case Unreachable(kind=Trouble.TLS):
            return _tls(error, host, connection, seen)
        case Unreachable():
            return _network(error, host, connection, seen)
        case UnsafeRedirect() if connection.kind is ConnectionKind.ICLOUD:
            return _portal(host)
        case UnsafeRedirect():
            return Diagnosis("server.redirect", Outcome.CONFIGURATION, str(error))
        case PrivateAddress():
            return _private(error, host, connection)
        case TooManyRequests():
            wait = "wait a quarter of an hour before you try again: trying sooner prolongs it"
            return Diagnosis("server.throttled", Outcome.LATER, f"{host} asks busyd to slow down", (wait,))
        case ServerFault() if error.status >= 500:
            message = f"{host} has a fault of its own (status {error.status})"
            return Diagnosis("server.fault", Outcome.UNAVAILABLE, message, _wait(connection))
        case MalformedResponse():
            return _not_caldav(error, host, connection, seen)
        case ServerFault() | Forbidden() | NotFound():
            return _refused(error, host, connection, seen)
        case FeedRefused():
            login = error.status in (401, 403)
            return Diagnosis("feed.refused", Outcome.LOGIN if login else Outcome.UNAVAILABLE, str(error))
        case UserError():
            return Diagnosis("configuration", Outcome.CONFIGURATION, str(error), (error.fix,) if error.fix else ())
    return Diagnosis("server.unexpected", Outcome.UNAVAILABLE, str(error))


def describe_clock(skew: int | None) -> str:
    """A sentence when this machine's clock differs from a server's by more than `SKEW`, else an empty text."""
    if skew is None or abs(skew) <= SKEW:
        return ""
    amount = abs(skew)
    told = f"{amount // 86400} days" if amount >= 2 * 86400 else f"{amount // 3600} h {amount // 60 % 60} min"
    return f"this machine's clock is {told} {'ahead of' if skew > 0 else 'behind'} the server's"


def _login(error: LoginRefused, host: str, connection: Connection, seen: Surroundings) -> Diagnosis:
    if error.status is None and "no password" in error.reason:
        step = f"store it with `busyd credential set {connection.name}`"
        return Diagnosis("auth.no-password", Outcome.LOGIN, f"there is no password for {host}", (step,))
    if connection.kind is not ConnectionKind.ICLOUD:
        steps = (
            "check the user name: some servers want the e-mail address, some the short name",
            "check the password; where two-factor authentication is on, the server wants an app password",
            "check that the url is the server's CalDAV address, and not that of another service there",
        )
        return Diagnosis("auth.refused", Outcome.LOGIN, f"{host} refused the user name or the password", steps)
    wrong_kind = (
        "the ordinary password of the Apple Account never works here: make an app-specific password at "
        f"{MENU}, and use that"
    )
    no_two_factor = (
        "no App-Specific Passwords there? Two-factor authentication is off: turn it on in Settings > your name > "
        "Sign-In & Security > Two-Factor Authentication (on a Mac: System Settings), then make the password"
    )
    revoked = (
        "changing or resetting the Apple Account password revokes all app-specific passwords, and each can be revoked "
        f"by hand: make a new one at {MENU}"
    )
    alias = (
        "the Apple ID is the address with which you sign in at account.apple.com, shown there under Sign-In and "
        "Security > Email & Phone Numbers: an alias of the mailbox is refused"
    )
    if not seen.app_specific:
        message = f"{host} refused the password, which is not an app-specific one"
        return Diagnosis("auth.apple.ordinary-password", Outcome.LOGIN, message, (wrong_kind, no_two_factor, alias))
    if seen.worked_before:
        message = f"{host} refuses a password that used to work: it was revoked"
        store = f"store the new one with `busyd credential set {connection.name}`; busyd notices it by itself"
        return Diagnosis("auth.apple.revoked", Outcome.LOGIN, message, (revoked, store, alias))
    message = f"{host} refused this Apple ID with this app-specific password, and does not say why"
    typed = "the password may be mistyped: it is four times four letters (xxxx-xxxx-xxxx-xxxx)"
    order = [typed, wrong_kind, no_two_factor, revoked, alias, _SWITCHED_OFF]
    if connection.username.strip().lower().endswith(_ALIASES):
        # Whoever signs in with another address tends to type the iCloud one here.
        order = [typed, alias, wrong_kind, no_two_factor, revoked, _SWITCHED_OFF]
    return Diagnosis("auth.apple.rejected", Outcome.LOGIN, message, tuple(order))


def _network(error: Unreachable, host: str, connection: Connection, seen: Surroundings) -> Diagnosis:
    code, message, steps = _NETWORK[error.kind]
    told = tuple(step.format(host=host) for step in steps)
    if connection.url != ICLOUD_URL and error.kind in (Trouble.DNS, Trouble.REFUSED, Trouble.PROTOCOL):
        told = ("check the url for a typing error, and the port in it", *told)
    if seen.proxy_variable:
        told = (
            f"{seen.proxy_variable} names a proxy here, and busyd connects directly: let this machine reach {host} "
            "on the port of its address past the proxy",
            *told,
        )
    return Diagnosis(code, Outcome.UNAVAILABLE, message.format(host=host), told)


_NETWORK: Final[dict[Trouble, tuple[str, str, tuple[str, ...]]]] = {
    Trouble.DNS: (
        "network.dns",
        "the name {host} cannot be resolved",
        (
            "check that this machine is connected: does `getent hosts {host}` print an address?",
            "check the name servers of this machine (`resolvectl status`, /etc/resolv.conf)",
        ),
    ),
    Trouble.REFUSED: (
        "network.refused",
        "{host} refuses connections",
        ("wait until the server is up again", "a firewall on the way may refuse in its name"),
    ),
    Trouble.NETWORK: (
        "network.unreachable",
        "there is no way to {host}",
        (
            "check that this machine is connected",
            "a firewall may forbid it: outgoing TCP to the port of the server must be allowed",
        ),
    ),
    Trouble.TIMEOUT: (
        "network.timeout",
        "{host} did not answer in time",
        ("try again in some minutes", "a firewall may drop what is sent: outgoing TCP must be allowed"),
    ),
    Trouble.RESET: (
        "network.reset",
        "the connection to {host} broke in the middle",
        ("try again", "if it always breaks, something on the way cuts it: a firewall or an inspecting proxy"),
    ),
    Trouble.PROXY: (
        "network.proxy",
        "a proxy or the login page of a network answers in place of {host}",
        (
            "on a hotel's or guest network: open a web page in a browser and sign in to the network first",
            "behind a company's proxy: let this machine reach {host} directly, busyd uses no proxy",
        ),
    ),
    Trouble.PROTOCOL: (
        "network.protocol",
        "what answers at {host} does not speak HTTP as it should",
        ("https and http may be mixed up: an encrypted port answers plain requests like this",),
    ),
}


def _tls(error: Unreachable, host: str, connection: Connection, seen: Surroundings) -> Diagnosis:
    detail = error.detail.lower()
    clock = _clock_step(seen)
    shown = seen.certificate
    if "not yet valid" in detail or ("expired" in detail and (seen.skew or 0) > SKEW):
        message = f"the certificate of {host} does not fit this machine's clock, which is wrong"
        return Diagnosis("tls.clock", Outcome.UNAVAILABLE, message, (clock,))
    if "expired" in detail:
        until = f" on {_day(shown.not_after)}" if shown else ""
        message = f"the certificate of {host} expired{until}"
        steps = (clock, "if the clock is right, whoever runs the server must renew it")
        return Diagnosis("tls.expired", Outcome.UNAVAILABLE, message, steps)
    issued = f"; it was issued by {shown.issuer}" if shown and shown.issuer else ""
    message = f"what answers at {host} cannot prove to be that server ({error.detail or 'TLS failed'}){issued}"
    portal = "on a hotel's or guest network: open a web page in a browser and sign in to the network first"
    inspected = (
        f"a company's proxy may open encrypted connections: have {host} exempted from that; nothing was sent to it"
    )
    own = "if it is your own server with a certificate of your own, add its authority to this machine's trusted ones"
    others = () if connection.kind is ConnectionKind.ICLOUD else (own,)
    return Diagnosis("tls.untrusted", Outcome.UNAVAILABLE, message, (*others, portal, inspected, clock))


def _clock_step(seen: Surroundings) -> str:
    told = describe_clock(seen.skew)
    if told:
        return f"set it right (`timedatectl set-ntp true`): {told}"
    return f"check this machine's clock: it says {_day(seen.now)} (`timedatectl set-ntp true` sets it)"


def _day(moment: Instant) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _portal(host: str) -> Diagnosis:
    message = f"something on the way answers in place of {host}: the login page of a network, most likely"
    steps = (
        "open a web page in a browser, sign in to the network, and try again",
        "if there is no such page, a proxy on the way meddles: let this machine reach the server directly",
    )
    return Diagnosis("network.captive-portal", Outcome.UNAVAILABLE, message, steps)


def _not_caldav(error: BusydError, host: str, connection: Connection, seen: Surroundings) -> Diagnosis:
    if connection.kind is ConnectionKind.ICLOUD:
        if seen.web_page:
            return _portal(host)
        return Diagnosis("server.malformed", Outcome.UNAVAILABLE, str(error), _wait(connection))
    what = "a calendar feed" if connection.kind is ConnectionKind.ICS else "a CalDAV server"
    message = f"what answers at {host} is not {what}"
    steps = (f"check the url: it must be the address of {what}, not of its web page", *_portal(host).steps[:1])
    return Diagnosis("server.not-caldav", Outcome.CONFIGURATION, message, steps)


def _refused(error: BusydError, host: str, connection: Connection, seen: Surroundings) -> Diagnosis:
    if connection.kind is not ConnectionKind.ICLOUD:
        step = "check the url: it must be the server's CalDAV address, a principal, or a calendar of this account"
        return Diagnosis("server.refused", Outcome.CONFIGURATION, str(error), (step,))
    if seen.web_page:
        return _portal(host)
    return Diagnosis("server.refused", Outcome.UNAVAILABLE, str(error), (_SWITCHED_OFF, *_wait(connection)))


def _private(error: PrivateAddress, host: str, connection: Connection) -> Diagnosis:
    if connection.kind is not ConnectionKind.ICLOUD:
        return Diagnosis("network.private-address", Outcome.CONFIGURATION, str(error))
    message = f"{host} leads to an address of the local network, where iCloud is not; nothing was sent there"
    steps = (*_portal(host).steps[:1], "a name server of your own network may redirect the name: ask who runs it")
    return Diagnosis("network.private-address", Outcome.UNAVAILABLE, message, steps)


def _wait(connection: Connection) -> tuple[str, ...]:
    page = (f"{_STATUS_PAGE} tells whether iCloud Calendar is in order",)
    return ("try again in some minutes", *(page if connection.kind is ConnectionKind.ICLOUD else ()))
