"""What can go wrong between us and a server, before there is an answer to read. Statuses are `dav/errors.py`.

Each states what happened and keeps the facts as fields; what to do about it is `advice/`.
"""

from enum import StrEnum
from typing import Final

from busyd.dav.errors import LoginRefused, MalformedResponse
from busyd.errors import RemoteError


class Trouble(StrEnum):
    """Why there was no answer."""

    DNS = "dns"
    REFUSED = "refused"
    NETWORK = "network"
    TIMEOUT = "timeout"
    TLS = "tls"
    NO_TLS = "no-tls"
    RESET = "reset"
    PROXY = "proxy"
    PROTOCOL = "protocol"


_REASONS: Final = {
    Trouble.DNS: "its name could not be resolved",
    Trouble.REFUSED: "it refused the connection",
    Trouble.NETWORK: "there is no route to it",
    Trouble.TIMEOUT: "it did not answer in time",
    Trouble.TLS: "its certificate was not accepted",
    Trouble.NO_TLS: "it does not speak TLS",
    Trouble.RESET: "the connection was lost",
    Trouble.PROXY: "a proxy or the login page of a network answered instead",
    Trouble.PROTOCOL: "it does not speak HTTP correctly",
}


class Unreachable(RemoteError):
    """No usable answer came. `sent` tells whether the request may have reached the server all the same."""

    def __init__(self, host: str, kind: Trouble, *, sent: bool = True, detail: str = "") -> None:
        super().__init__(f"{host} could not be reached: {_REASONS[kind]}{f' ({detail})' if detail else ''}")
        self.host = host
        self.kind = kind
        self.sent = sent
        self.detail = detail


class MissingPassword(LoginRefused):
    """The connection has a user name but no password, so nothing was sent."""

    def __init__(self, host: str) -> None:
        super().__init__(host, status=None, message=f"there is no password for {host}")


class NotAppSpecific(LoginRefused):
    """The password for Apple has not the shape of an app-specific one, so nothing was sent."""

    def __init__(self, host: str) -> None:
        message = f"the password for {host} is not an app-specific one (xxxx-xxxx-xxxx-xxxx), so it was not sent"
        super().__init__(host, status=None, message=message)


NOTHING_SENT: Final = (MissingPassword, NotAppSpecific)
"""Logins that nobody refused: trying again changes nothing before the password does."""


class AnswerTooLarge(RemoteError):
    """A body beyond the limits, on the wire or once inflated; reading stopped there."""

    def __init__(self, host: str, limit: int) -> None:
        super().__init__(f"{host} sent more than {limit // 1024**2} MiB in one response; it was discarded")
        self.host = host
        self.limit = limit


class UnsafeRedirect(RemoteError):
    """A redirect or an href leads where no credential of this connection may go; nothing was sent there."""

    def __init__(self, host: str, target: str, *, message: str = "") -> None:
        super().__init__(
            message or f"{host} points to {target}, which this connection does not trust; nothing was sent there"
        )
        self.host = host
        self.target = target
        """The host alone: the path of a link may be a secret."""


class TooManyRedirects(UnsafeRedirect):
    """Redirects without an end."""

    def __init__(self, host: str, *, in_a_circle: bool = False) -> None:
        way = "in a circle, from one address to the other and back" if in_a_circle else "too many times"
        super().__init__(host, host, message=f"{host} redirects {way}")
        self.in_a_circle = in_a_circle


class PrivateAddress(RemoteError):
    """A public name or a feed leads to an address of the local network."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} resolves to a private address, so it was not contacted")
        self.host = host


class WriteOutcomeUnknown(RemoteError):
    """A PUT or DELETE was sent and no answer came: it may have been done. Look before doing it again."""

    def __init__(self, host: str, method: str) -> None:
        super().__init__(f"{host} did not confirm a change ({method})")
        self.host = host
        self.method = method


class FeedIsWebPage(MalformedResponse):
    """A web page came where a feed should be."""

    def __init__(self, host: str, *, was_browser: bool) -> None:
        also = ", also to a client that calls itself a browser" if was_browser else ""
        super().__init__(host, f"it sends a web page{also}", status=200, wanted="calendar feed")


class FeedRefused(RemoteError):
    """A feed's server answered, but not with the feed."""

    def __init__(self, host: str, status: int) -> None:
        if status in (401, 403):
            event = "denied access to the feed"
        elif status in (404, 410):
            event = "has no such feed"
        elif status >= 500:
            event = "reported an internal error"
        else:
            event = "did not send the feed"
        super().__init__(f"{host} {event} (status {status})")
        self.host = host
        self.status = status
