"""What can go wrong between us and a server, before there is an answer to read. Statuses are `dav/errors.py`."""

from enum import StrEnum
from typing import Final

from busyd.errors import RemoteError


class Trouble(StrEnum):
    """Why there was no answer."""

    DNS = "dns"
    REFUSED = "refused"
    NETWORK = "network"
    TIMEOUT = "timeout"
    TLS = "tls"
    RESET = "reset"
    PROXY = "proxy"
    PROTOCOL = "protocol"


_TOLD: Final = {
    Trouble.DNS: "its name cannot be resolved; check the network connection and the name",
    Trouble.REFUSED: "it refuses connections; check the address, or wait until the server is up again",
    Trouble.NETWORK: "there is no way to it; check the network connection",
    Trouble.TIMEOUT: "it did not answer in time; busyd tries again by itself",
    Trouble.TLS: "its certificate is not accepted; check this machine's clock, and what stands between",
    Trouble.RESET: "the connection broke; busyd tries again by itself",
    Trouble.PROXY: "a proxy or the login page of a network stands between; sign in to the network first",
    Trouble.PROTOCOL: "it does not speak HTTP as it should; check the port in the url",
}


class Unreachable(RemoteError):
    """No usable answer came. `sent` tells whether the request may have reached the server all the same."""

    def __init__(self, host: str, kind: Trouble, *, sent: bool = True, detail: str = "") -> None:
        super().__init__(f"{host} cannot be reached: {_TOLD[kind]}{f' ({detail})' if detail else ''}")
        self.host = host
        self.kind = kind
        self.sent = sent
        self.detail = detail


class AnswerTooLarge(RemoteError):
    """A body beyond the limits, on the wire or once inflated; reading stopped there."""

    def __init__(self, host: str, limit: int) -> None:
        super().__init__(f"{host} sent an answer of more than {limit // 1024**2} MiB; it was dropped unread")
        self.host = host
        self.limit = limit


class UnsafeRedirect(RemoteError):
    """A redirect or an href leads where no credential of this connection may go; nothing was sent there."""

    def __init__(self, host: str, target: str) -> None:
        super().__init__(
            f"{host} points to {target}, which this connection does not trust; nothing was sent there. "
            "If that is your server, write its address as the url of the connection"
        )
        self.host = host
        self.target = target
        """The host alone: the path of a link may be a secret."""


class PrivateAddress(RemoteError):
    """A public name or a feed leads to an address of the local network."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to a private address, so it was not contacted; "
            "for a feed in your own network set allow_private: true"
        )
        self.host = host


class WriteOutcomeUnknown(RemoteError):
    """A PUT or DELETE was sent and no answer came: it may have been done. Look before doing it again."""

    def __init__(self, host: str, method: str) -> None:
        super().__init__(f"{host} did not confirm a change; busyd looks whether it was made before it tries again")
        self.host = host
        self.method = method


class FeedRefused(RemoteError):
    """A feed's server answered, but not with the feed."""

    def __init__(self, host: str, status: int) -> None:
        if status in (401, 403):
            told = "wants a login or does not allow this; check the address, or add username and password"
        elif status in (404, 410):
            told = "has no such calendar (any more); its owner may have stopped publishing it"
        elif status >= 500:
            told = "has a fault of its own; busyd tries again by itself"
        else:
            told = "does not give out the calendar; check its address"
        super().__init__(f"{host} {told} (status {status})")
        self.host = host
        self.status = status
