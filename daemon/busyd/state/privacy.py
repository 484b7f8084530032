"""What may be stored of the events of a connection (`privacy:`)."""

from busyd.connection import Privacy
from busyd.ical.facts import normalise_address
from busyd.state.state import State


def reduced_to(state: State, connection: str) -> frozenset[str] | None:
    """Where only times are stored of events: the addresses whose answers are kept; None where everything is stored."""
    known = state.connection_state(connection)
    if known.connection.privacy is Privacy.FULL:
        return None
    return frozenset(map(normalise_address, filter(None, (*known.addresses, *_configured(state, connection)))))


def kept_mark(state: State, connection: str) -> str:
    """What is stored of the events of a connection as the configuration wants it, for the comparison with before."""
    if state.connection_state(connection).connection.privacy is Privacy.FULL:
        return Privacy.FULL
    return " ".join([Privacy.BUSY, *sorted(_configured(state, connection))])


def _configured(state: State, connection: str) -> set[str]:
    """The addresses of those who may be in it, as far as the configuration knows them."""
    written = {address for one in state.profiles.values() for address in one.profile.addresses}
    return written | {state.connection_state(connection).connection.username}
