"""The families of errors, by who can do something about them."""


class BusydError(Exception):
    """An error that busyd foresees. `str(error)` is a sentence for a person, without secrets or payloads."""


class UserError(BusydError):
    """The person can fix it: shown as it is, without a traceback.

    `fix` says what to do in one sentence, or is empty where the message already says it.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class TryAgain(UserError):
    """The same action may work later: a lock, a full disk, an address that does not exist yet. Exit status 75."""


class Misconfigured(UserError):
    """It will not work until a person changes something: a wrong owner, mode, type or value. Exit status 78."""


class RemoteError(BusydError):
    """A server did not do what busyd needs. Nothing in the mirror changes because of it."""


class DataError(BusydError):
    """A calendar object cannot be understood. The time it may take stays blocked, and it is listed as a problem."""
