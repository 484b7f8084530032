"""A stored VFREEBUSY -> its periods. No policy applies to them: the component states their free/busy type."""

from collections.abc import Iterator
from typing import Final

from busyd.ical.event import read_moment
from busyd.ical.facts import Facts
from busyd.ical.lines import Component, read_parameters
from busyd.ical.rdate import read_period_end
from busyd.ical.values import BadValue
from busyd.ical.zones import Zones
from busyd.period import FbType

_TYPES: Final = {member.text: member for member in FbType}


def read_freebusy(component: Component, zones: Zones) -> Iterator[tuple[int, int, Facts, str]]:
    """(start, end, facts, problem) of every FREEBUSY period that is not FREE (RFC 5545 §3.8.2.6).

    An unknown FBTYPE is BUSY. If a period cannot be parsed, `problem` says why, and the other fields are meaningless.
    """
    for parameters, text in component.properties.get("FREEBUSY", ()):
        fbtype = _TYPES.get(read_parameters(parameters).get("FBTYPE", "BUSY").upper(), FbType.BUSY)
        if fbtype is FbType.FREE:
            continue
        facts = Facts(fbtype=fbtype)
        for value in filter(None, map(str.strip, text.split(","))):
            first, _, last = value.partition("/")
            try:
                start = read_moment((parameters, first), zones)
                end = read_period_end(start, (parameters, last), zones=zones)
                if start.zone.spread:
                    facts = Facts(fbtype=fbtype, unknown=f"the time zone {start.zone.name[:60]!r} is unknown")
                yield start.instant, end, facts, ""
            except BadValue as error:
                yield 0, 0, facts, f"a FREEBUSY period cannot be read: {error}"
