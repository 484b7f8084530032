"""Payloads -> busy time, without a daemon: index, decide, flatten, clip, as the daemon does from its index."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from busyd.availability.index import index_object
from busyd.availability.policy import Rules, decide
from busyd.ical.facts import Problem, normalise_address
from busyd.ical.vavailability import read_availability
from busyd.period import FbType, Period, Span, clip, flatten


class Busy(Struct, frozen=True):
    """The busy time of a window."""

    periods: list[Span]
    """Flattened: sorted, disjoint, clipped to the window."""
    problems: list[Problem]
    """What in the payloads could not be used as written."""


def busy_periods(
    payloads: Sequence[bytes],
    window: Period,
    *,
    zone: str,
    rules: Rules,
    addresses: Iterable[str],
    availability: bytes | None,
) -> Busy:
    """The busy time that these calendar objects make for the person with these addresses.

    DATE and floating values are read in `zone`, an IANA name. Objects with one UID in two payloads both count.
    `availability` is a text with VAVAILABILITY components. Never raises for what is in a payload; raises UnknownZone
    when `zone` is no time zone.
    """
    me = frozenset(map(normalise_address, addresses))
    spans: list[Span] = []
    problems: list[Problem] = []
    for payload in payloads:
        indexed = index_object(payload, window, zone=zone)
        problems += indexed.problems
        verdicts = [decide(facts, rules, me=me) for facts in indexed.facts]
        for start, end, number in indexed.rows:
            verdict = verdicts[number]
            if verdict.fbtype is not FbType.FREE:
                spans.append((start - verdict.before, end + verdict.after, int(verdict.fbtype)))
    if availability is not None:
        unavailable = read_availability(availability, window, zone=zone)
        spans += unavailable.spans
        problems += unavailable.problems
    return Busy(flatten(clip(spans, window)), problems)
