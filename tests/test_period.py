"""How times are written and read."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.period import EARLIEST, LATEST, read_http_date, to_rfc3339


@given(st.integers(EARLIEST, LATEST))
def test_a_time_is_written_as_rfc_3339_in_utc(instant: int) -> None:
    assert to_rfc3339(instant) == datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


@given(st.integers())
def test_what_cannot_be_written_is_the_first_or_the_last_second(instant: int) -> None:
    assert to_rfc3339(instant) == to_rfc3339(min(max(instant, EARLIEST), LATEST))


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60),
        ("Thu, 01 Jan 1970 00:01:00", 60),
        (None, None),
        ("", None),
        ("soon", None),
    ],
)
def test_a_date_header_is_read_or_left(header: str | None, moment: int | None) -> None:
    assert read_http_date(header) == moment
