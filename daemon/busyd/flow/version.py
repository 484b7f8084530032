"""What the stored index was made with: another busyd or other time-zone data reads the same objects differently."""

import busyd
from busyd.ical.zones import tzdata_version


def index_version() -> str:
    """Compared for equality only."""
    return f"{busyd.__version__} {tzdata_version()}"
