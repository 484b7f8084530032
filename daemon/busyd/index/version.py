"""What the stored index was made with: another busyd or other time-zone data reads the same objects differently."""

from typing import Final

import busyd
from busyd.ical.zones import NO_OWN_ZONES, OwnZones, tzdata_version

INDEX_FORMAT: Final = 6
"""Grows whenever the engine says something else of the same object, or says it in another form."""


def index_version(own_zones: OwnZones = NO_OWN_ZONES) -> str:
    """Compared for equality only. `own_zones` are the person's names for time zones."""
    names = f" {sorted(own_zones.items())}" if own_zones else ""
    return f"{busyd.__version__}/{INDEX_FORMAT} {tzdata_version()}{names}"
