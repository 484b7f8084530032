"""What a person is told of an appointment that is not settled: what is the matter, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Final

_MOST_NAMED: Final = 20
_WAITS: Final = "busyd goes on by itself; `busyd status` says how the connection is doing"

_ADVICE: Final[Mapping[str, tuple[str, str]]] = {
    "conflict": (
        "somebody else's event overlaps it",
        "settle with them who has the time, then move or cancel one of the two",
    ),
    "changed": (
        "a person has changed the event, so busyd leaves it alone",
        "look at it in the calendar; to have it removed all the same, cancel it once more",
    ),
    "restored": (
        "the state was restored from a backup, and the event is not in the calendar",
        "ask for it again with the same Idempotency-Key to have it written, or cancel it",
    ),
    "account": (
        "the calendar's account does not take what busyd writes",
        "see that the account has space and that the calendar may be written to; busyd tries again by itself",
    ),
    "pending": ("it is not settled whether it is in the calendar", _WAITS),
    "moving": ("it is being moved, which is not settled", _WAITS),
    "cancelling": ("it is being cancelled, and not proved to be gone", _WAITS),
    "changing": ("a change of it is not settled", _WAITS),
}


def describe_unsettled(state: str, reason: str) -> tuple[str, str]:
    """What is the matter and what to do, for a `state` of the API and its `reason`."""
    return _ADVICE.get(reason if state == "attention" else state, _ADVICE["changing"])


def describe_unknown(names: Sequence[str]) -> str:
    """A sentence about events of busyd, by UID, that a restored ledger does not know."""
    shown = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    events = "an event that busyd wrote is" if len(names) == 1 else f"{len(names)} events that busyd wrote are"
    return f"{events} in it and not in the restored state; busyd leaves alone what it does not know: {shown}{more}"
