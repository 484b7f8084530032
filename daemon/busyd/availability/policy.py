"""The policy: facts and a person's rules in, a free/busy type and the reason out. What blocks is decided only here."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from busyd.ical.facts import Facts
from busyd.period import FbType


class Rules(Struct, frozen=True):
    """The rules by which a calendar counts for a person; the defaults are those of the contract."""

    all_day: Literal["as-marked", "busy", "free"] = "as-marked"
    tentative: Literal["tentative", "busy", "free"] = "tentative"
    unanswered: Literal["tentative", "busy", "free"] = "tentative"
    declined: Literal["free", "busy"] = "free"
    travel_time: bool = True
    origin: Mapping[str, str] = field(default_factory=dict)
    """Name of a rule -> `FILE:LINE` where the user set it; a rule that is absent has its default."""

    def without_origin(self) -> "Rules":
        """The same rules wherever they are written down, which changes no answer."""
        return replace(self, origin={}) if self.origin else self


class Verdict(Struct, frozen=True):
    """The decision about one occurrence, and its reason."""

    fbtype: FbType
    reason: str
    """A stable word: opaque, transparent, cancelled, declined, tentative, unanswered, all-day, not-understood, ..."""
    rule: str = ""
    """The name of the rule of the configuration that decided, or empty when the event itself did."""
    before: int = 0
    """Seconds of travel that block before the occurrence."""
    after: int = 0
    """Seconds of travel that block after it."""


def decide(facts: Facts, rules: Rules, *, me: frozenset[str]) -> Verdict:
    """What an occurrence with these facts means for the person who has these addresses and rules.

    `me` holds addresses in the form of `normalise_address`. The first of these that applies decides: a stored VFREEBUSY
    period; cancelled; declined or delegated by me; the `all_day` rule; TRANSP; a vendor's busy status where TRANSP says
    nothing; then tentative, out of office, opaque. What would block and was not understood is unavailable.
    """
    verdict = _decide(facts, rules, me=me)
    if facts.unknown and verdict.fbtype is not FbType.FREE:
        verdict = _NOT_UNDERSTOOD
    if verdict.fbtype is not FbType.FREE and rules.travel_time and (facts.travel_before or facts.travel_after):
        return replace(verdict, before=facts.travel_before, after=facts.travel_after)
    return verdict


def _decide(facts: Facts, rules: Rules, *, me: frozenset[str]) -> Verdict:
    if facts.fbtype is not None:
        return Verdict(facts.fbtype, "freebusy")
    if facts.status == "CANCELLED":
        return _CANCELLED
    answer = _my_answer(facts, me) if facts.attendees and me else "ACCEPTED"
    if answer == "DECLINED" and rules.declined == "free":
        return Verdict(FbType.FREE, "declined", "declined")
    if answer == "DELEGATED":
        return Verdict(FbType.FREE, "delegated")
    by_rule = facts.all_day and rules.all_day != "as-marked"
    if by_rule and rules.all_day == "free":
        return Verdict(FbType.FREE, "all-day", "all_day")
    if not by_rule:
        if facts.transp == "TRANSPARENT":
            return _TRANSPARENT
        if facts.transp is None and facts.busystatus in _FREE_STATUS:
            return Verdict(FbType.FREE, "vendor-free")
    if answer == "NEEDS-ACTION" and rules.unanswered != "busy":
        return Verdict(_STRENGTH[rules.unanswered], "unanswered", "unanswered")
    if facts.status == "TENTATIVE" or answer == "TENTATIVE" or facts.busystatus == "TENTATIVE":
        return Verdict(_STRENGTH[rules.tentative], "tentative", "tentative")
    if facts.busystatus in _AWAY_STATUS:
        return Verdict(FbType.BUSY_UNAVAILABLE, "out-of-office")
    if by_rule:
        return Verdict(FbType.BUSY, "all-day", "all_day")
    if answer == "DECLINED":
        return Verdict(FbType.BUSY, "declined", "declined")
    if answer == "NEEDS-ACTION":
        return Verdict(FbType.BUSY, "unanswered", "unanswered")
    return _OPAQUE


NO_LENGTH: Final = Verdict(FbType.FREE, "no-length")
"""The verdict on an occurrence without length and travel time, whatever its facts."""
ACCEPTED: Final = Verdict(FbType.FREE, "accepted")
"""The verdict on what is not understood of an object that a person has accepted."""
_NOT_UNDERSTOOD: Final = Verdict(FbType.BUSY_UNAVAILABLE, "not-understood")
_CANCELLED: Final = Verdict(FbType.FREE, "cancelled")
_TRANSPARENT: Final = Verdict(FbType.FREE, "transparent")
_OPAQUE: Final = Verdict(FbType.BUSY, "opaque")
_STRENGTH: Final = {"free": FbType.FREE, "tentative": FbType.BUSY_TENTATIVE, "busy": FbType.BUSY}
_FREE_STATUS: Final = frozenset({"FREE", "WORKINGELSEWHERE"})
"""MS-OXCICAL and MS-OXOCAL: the person works, if elsewhere; TRANSP:OPAQUE takes precedence over both."""
_AWAY_STATUS: Final = frozenset({"OOF", "OUTOFOFFICE"})
_ANSWERS: Final = ("ACCEPTED", "TENTATIVE", "NEEDS-ACTION", "DELEGATED", "DECLINED")
"""PARTSTAT from the strongest to the weakest: if two ATTENDEE lines are mine, the stronger counts."""


def _my_answer(facts: Facts, me: frozenset[str]) -> str:
    """My PARTSTAT; ACCEPTED when I am the organizer (RFC 6638 §3.2) or not invited by name."""
    if not me.isdisjoint(facts.organizer):
        return "ACCEPTED"
    mine = {attendee.partstat for attendee in facts.attendees if not me.isdisjoint(attendee.addresses)}
    if not mine:
        return "ACCEPTED"
    # RFC 5545 §3.2.12: an unknown value is read as NEEDS-ACTION.
    known = {answer if answer in _ANSWERS else _OTHER_ANSWERS.get(answer, "NEEDS-ACTION") for answer in mine}
    return min(known, key=_ANSWERS.index)


_OTHER_ANSWERS: Final = {"COMPLETED": "ACCEPTED", "IN-PROCESS": "ACCEPTED"}
