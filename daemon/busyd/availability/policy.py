"""Facts and a person's rules in, a free/busy type and the reason out. The only place that decides what blocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from busyd.period import FbType


@dataclass(frozen=True, slots=True)
class Rules:
    """How one person reads one calendar; the defaults are those of the contract."""

    all_day: Literal["as-marked", "busy", "free"] = "as-marked"
    tentative: Literal["tentative", "busy", "free"] = "tentative"
    unanswered: Literal["tentative", "busy", "free"] = "tentative"
    declined: Literal["free", "busy"] = "free"
    travel_time: bool = True
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Name of a rule -> `FILE:LINE` where the user set it; a rule that is absent has its default."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one occurrence, and why."""

    fbtype: FbType
    reason: str
    """A stable word: opaque, transparent, cancelled, declined, tentative, unanswered, all-day, not-understood, ..."""
    rule: str = ""
    """The name of the rule of the configuration that decided, or empty when the event itself did."""
    before: int = 0
    """Seconds of travel that block in front of the occurrence."""
    after: int = 0
    """Seconds of travel that block behind it."""
