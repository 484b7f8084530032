"""What a CalDAV server can refuse, as errors somebody acts on. Statuses nobody acts on are `ServerFault`.

Each states what happened and keeps the facts as fields; what to do about it is `advice/`.
"""

from busyd.errors import RemoteError


class DavError(RemoteError):
    """An answer that is not what was needed. `host` is where it came from, `status` the HTTP status or None."""

    def __init__(self, message: str, *, host: str, status: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.status = status


class MalformedResponse(DavError):
    """The answer is not a complete answer of the kind asked for; nothing of it is used."""

    def __init__(self, host: str, reason: str, *, status: int | None = None, wanted: str = "CalDAV response") -> None:
        super().__init__(f"{host} did not send a complete {wanted}: {reason}", host=host, status=status)
        self.reason = reason


class LoginRefused(DavError):
    """401, or no principal for these credentials. iCloud says the same for every kind of wrong password."""

    def __init__(self, host: str, *, status: int | None = 401, reason: str = "", message: str = "") -> None:
        super().__init__(
            message or f"{host} refused the login{f' ({reason})' if reason else ''}", host=host, status=status
        )
        self.reason = reason


class LoginUnsupported(LoginRefused):
    """401 of a server that offers no way to log in that busyd knows: it is not the password that is wrong."""

    def __init__(self, host: str, offered: str) -> None:
        super().__init__(host, message=f"{host} accepts neither Basic nor Digest logins, only {offered}")
        self.offered = offered


class Forbidden(DavError):
    """403: the login is good, but not for this resource."""

    def __init__(self, host: str, *, precondition: str | None = None) -> None:
        condition = f" ({precondition})" if precondition else ""
        super().__init__(f"{host} denied this account access{condition}", host=host, status=403)
        self.precondition = precondition


class NotFound(DavError):
    """404 or 410 where something was expected to be."""

    def __init__(self, host: str, *, status: int = 404) -> None:
        super().__init__(f"{host} has nothing at this address (status {status})", host=host, status=status)


class PreconditionFailed(DavError):
    """409 or 412: the resource is not in the state the request expected. CalDAV cannot always say which condition."""

    def __init__(self, host: str, *, status: int = 412, precondition: str | None = None) -> None:
        super().__init__(f"{host} refused the change ({precondition or f'status {status}'})", host=host, status=status)
        self.precondition = precondition


class TooManyRequests(DavError):
    """429, or 503 with Retry-After. `retry_after` is the header as it stands: seconds or an HTTP date, or None."""

    def __init__(self, host: str, *, status: int = 429, retry_after: str | None = None) -> None:
        super().__init__(f"{host} asked busyd to slow down (status {status})", host=host, status=status)
        self.retry_after = retry_after


class ServerFault(DavError):
    """Any other status that is not an answer to the request. Never a sign that something was deleted."""

    status: int

    def __init__(self, host: str, status: int) -> None:
        if status >= 500:
            event = "reported an internal error"
        elif 300 <= status < 400:
            event = "redirected to another address"
        else:
            event = "did not accept the request"
        super().__init__(f"{host} {event} (status {status})", host=host, status=status)


class InvalidSyncToken(DavError):
    """RFC 6578 §3.2: the token is too old or not of this server; start over with an empty one."""

    def __init__(self, host: str, *, status: int = 403) -> None:
        super().__init__(f"{host} no longer accepts the sync token (status {status})", host=host, status=status)


class SyncUnsupported(DavError):
    """The collection does not offer the sync-collection report; list its members instead."""

    def __init__(self, host: str, *, status: int) -> None:
        super().__init__(
            f"{host} does not offer sync-collection for this calendar (status {status})", host=host, status=status
        )
