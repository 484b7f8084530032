"""How times are written."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from busyd.period import EARLIEST, LATEST, to_rfc3339


@given(st.integers(EARLIEST, LATEST))
def test_a_time_is_written_as_rfc_3339_in_utc(instant: int) -> None:
    assert to_rfc3339(instant) == datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


@given(st.integers())
def test_what_cannot_be_written_is_the_first_or_the_last_second(instant: int) -> None:
    assert to_rfc3339(instant) == to_rfc3339(min(max(instant, EARLIEST), LATEST))
