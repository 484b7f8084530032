"""The three families of errors, by who can do something about it. Nothing here knows a protocol."""


class BusydError(Exception):
    """Something busyd can name. `str(error)` is a sentence for a person; it never holds a secret or a payload."""


class UserError(BusydError):
    """The person can fix it: shown as it is, without a traceback.

    `fix` says what to do, in a sentence, or is empty where the message already does.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class TryAgain(UserError):
    """The very same may work later: a lock, a full disk, an address that is not there yet. Exit status 75."""


class Misconfigured(UserError):
    """It stays so until a person changes something: a wrong owner, mode, type or value. Exit status 78."""


class RemoteError(BusydError):
    """A server did not do what we need. Nothing in the mirror changes because of it."""


class DataError(BusydError):
    """A calendar object makes no sense to us. What it may block stays blocked and is listed."""
