"""Exit statuses, those of sysexits.h that scripts can act on, and which error gives which."""

from enum import IntEnum

from busyd.errors import BusydError, Misconfigured, RemoteError, TryAgain, UserError


class ExitStatus(IntEnum):
    """Fixed: scripts and units rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 64
    REMOTE_UNAVAILABLE = 69
    TRY_AGAIN = 75
    LOGIN_REFUSED = 77
    CONFIG = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """What a shell reports for a program that SIGPIPE ended."""


class CommandFailed(UserError):
    """A command could not do what was asked; carries its own exit status."""

    def __init__(self, message: str, *, fix: str = "", status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message, fix=fix)
        self.status = status


class UsageError(UserError):
    """The command line itself is wrong; `program` is the command whose --help says more."""

    def __init__(self, message: str, *, program: str) -> None:
        super().__init__(message, fix=f"see `{program} --help`")


def status_of(error: BusydError) -> ExitStatus:
    """The status with which an error ends the process."""
    # Imported only now: a command that succeeds, or reads no configuration, does not need them.
    from busyd.config import ConfigFaults, ConfigMissing
    from busyd.credentials import CredentialMissing
    from busyd.store.errors import StorageError, StorageUnusable

    if isinstance(error, RemoteError):
        return _status_of_remote(error)
    match error:
        case CommandFailed():
            return error.status
        case UsageError():
            return ExitStatus.USAGE
        case ConfigFaults() | ConfigMissing() | CredentialMissing() | Misconfigured() | StorageUnusable():
            return ExitStatus.CONFIG
        case TryAgain() | StorageError():
            return ExitStatus.TRY_AGAIN
    return ExitStatus.FAILED


def _status_of_remote(error: RemoteError) -> ExitStatus:
    from busyd.dav.errors import LoginRefused, TooManyRequests

    match error:
        case LoginRefused():
            return ExitStatus.LOGIN_REFUSED
        case TooManyRequests():
            return ExitStatus.TRY_AGAIN
    return ExitStatus.REMOTE_UNAVAILABLE
