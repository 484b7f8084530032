"""What the stored index was made with: another busyd or other time-zone data reads the same objects differently."""

from typing import Final

import busyd
from busyd.ical.zones import tzdata_version

INDEX_FORMAT: Final = 4
"""Grows whenever the engine says something else of the same object, or says it in another form."""


def index_version() -> str:
    """Compared for equality only."""
    return f"{busyd.__version__}/{INDEX_FORMAT} {tzdata_version()}"
