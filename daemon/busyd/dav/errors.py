"""What a CalDAV server can refuse, as errors somebody acts on. Statuses nobody acts on are `ServerFault`."""

from busyd.errors import RemoteError


class DavError(RemoteError):
    """An answer that is not what was needed. `host` is where it came from, `status` the HTTP status or None."""

    def __init__(self, message: str, *, host: str, status: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.status = status


class MalformedResponse(DavError):
    """The answer is not a complete answer of the kind asked for; nothing of it is used."""

    def __init__(self, host: str, reason: str, *, status: int | None = None, wanted: str = "CalDAV answer") -> None:
        message = f"{host} answered with something that is not a complete {wanted}: {reason}; it was set aside"
        super().__init__(message, host=host, status=status)
        self.reason = reason


class LoginRefused(DavError):
    """401, or no principal for these credentials. iCloud says the same for every kind of wrong password."""

    def __init__(self, host: str, *, status: int | None = 401, reason: str = "") -> None:
        if host.endswith((".icloud.com", ".icloud.com.cn")):
            fix = "check the Apple ID and make a new app-specific password at account.apple.com"
        else:
            fix = "check the user name and the password"
        super().__init__(f"{host} refused the login{f' ({reason})' if reason else ''}; {fix}", host=host, status=status)
        self.reason = reason


class Forbidden(DavError):
    """403: the login is good, but not for this resource."""

    def __init__(self, host: str, *, precondition: str | None = None) -> None:
        told = f" ({precondition})" if precondition else ""
        message = f"{host} does not allow this account to do that{told}; ask the owner of the calendar for access"
        super().__init__(message, host=host, status=403)
        self.precondition = precondition


class NotFound(DavError):
    """404 or 410 where something was expected to be."""

    def __init__(self, host: str, *, status: int = 404) -> None:
        message = (
            f"{host} does not know this address (any more); if it stays so, check the url or look for the calendar"
        )
        super().__init__(message, host=host, status=status)


class PreconditionFailed(DavError):
    """409 or 412: the resource is not in the state the request expected. CalDAV cannot always say which condition."""

    def __init__(self, host: str, *, status: int = 412, precondition: str | None = None) -> None:
        told = precondition or "it does not say which condition failed"
        super().__init__(f"{host} refused the change ({told}); read the event again", host=host, status=status)
        self.precondition = precondition


class TooManyRequests(DavError):
    """429, or 503 with Retry-After. `retry_after` is the header as it stands: seconds or an HTTP date, or None."""

    def __init__(self, host: str, *, status: int = 429, retry_after: str | None = None) -> None:
        super().__init__(
            f"{host} asks busyd to slow down; it waits and tries again by itself", host=host, status=status
        )
        self.retry_after = retry_after


class ServerFault(DavError):
    """Any other status that is not an answer to the request. Never a sign that something was deleted."""

    status: int

    def __init__(self, host: str, status: int) -> None:
        if status >= 500:
            told = "has a fault of its own; busyd tries again by itself"
        elif 300 <= status < 400:
            told = "points to another address; write that address as the url of the connection"
        else:
            told = "does not understand the request; check that the url is that of a CalDAV server"
        super().__init__(f"{host} {told} (status {status})", host=host, status=status)


class InvalidSyncToken(DavError):
    """RFC 6578 §3.2: the token is too old or not of this server; start over with an empty one."""

    def __init__(self, host: str, *, status: int = 403) -> None:
        super().__init__(f"{host} no longer knows the sync token; the calendar is read anew", host=host, status=status)


class SyncUnsupported(DavError):
    """The collection does not offer the sync-collection report; list its members instead."""

    def __init__(self, host: str, *, status: int) -> None:
        super().__init__(f"{host} offers no sync-collection report here; listing instead", host=host, status=status)
