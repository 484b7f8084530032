"""One line about an error that reading a server met: what happened, then what to do or what busyd will do."""

from busyd.advice.apple import CREATE_APP_PASSWORD
from busyd.dav.errors import (
    Forbidden,
    InvalidSyncToken,
    LoginRefused,
    MalformedResponse,
    NotFound,
    PreconditionFailed,
    ServerFault,
    SyncUnsupported,
    TooManyRequests,
)
from busyd.errors import BusydError
from busyd.remote.errors import (
    FeedRefused,
    MissingPassword,
    NotAppSpecific,
    PrivateAddress,
    Trouble,
    Unreachable,
    UnsafeRedirect,
    WriteOutcomeUnknown,
)

_RETRIES = "busyd retries automatically"


def describe_error(error: BusydError) -> str:
    """`what happened; what to do`, or only the first where there is nothing to do."""
    step = next_step(error)
    return f"{error}; {step}" if step else str(error)


def next_step(error: BusydError) -> str:
    """What to do about an error: its own `fix` if it has one, else advice for its kind, else an empty text."""
    if fix := getattr(error, "fix", ""):
        return str(fix)
    match error:
        case MissingPassword():
            return "store it with `busyd credential set`"
        case NotAppSpecific():
            return f"{CREATE_APP_PASSWORD}, and store that for this connection"
        case LoginRefused():
            return "check the user name and the password"
        case Forbidden():
            return "ask the owner of the calendar for access"
        case NotFound():
            return "if this persists, check the url, and whether the calendar still exists"
        case PreconditionFailed():
            return "read the event again before changing it"
        case TooManyRequests():
            return "busyd waits and then retries automatically"
        case ServerFault():
            return _after_status(error.status)
        case InvalidSyncToken():
            return "busyd reads the calendar from scratch"
        case SyncUnsupported():
            return "busyd lists the calendar instead"
        case MalformedResponse():
            return "the response was discarded"
        case Unreachable():
            return _AFTER_TROUBLE[error.kind]
        case UnsafeRedirect():
            return "if that is your server, use its address as the url of the connection"
        case PrivateAddress():
            return "for a feed on your own network, set allow_private: true"
        case WriteOutcomeUnknown():
            return "busyd checks whether it was made before trying again"
        case FeedRefused():
            return _after_feed_status(error.status)
    return ""


def _after_status(status: int) -> str:
    if status >= 500:
        return _RETRIES
    if 300 <= status < 400:
        return "use the new address as the url of the connection"
    return "check that the url is that of a CalDAV server"


def _after_feed_status(status: int) -> str:
    if status in (401, 403):
        return "check the address, or add username and password"
    if status in (404, 410):
        return "check the address; its owner may have stopped publishing it"
    return _RETRIES if status >= 500 else "check the address"


_AFTER_TROUBLE = {
    Trouble.DNS: "check the network connection and the host name",
    Trouble.REFUSED: "check the address, or wait until the server is up again",
    Trouble.NETWORK: "check the network connection",
    Trouble.TIMEOUT: _RETRIES,
    Trouble.TLS: "check this machine's clock, and whether a proxy intercepts the connection",
    Trouble.NO_TLS: "check the port in the url; if the server offers only http, write http:// (webcal:// means TLS)",
    Trouble.RESET: _RETRIES,
    Trouble.PROXY: "sign in to the network first",
    Trouble.PROTOCOL: "check the port in the url",
}
