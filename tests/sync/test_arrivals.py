"""Which events have lately turned up in which calendar, from one poll to the next."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busyd.sync.context import PollContext, recent_arrivals, remember_arrivals
from busyd.sync.timing import ARRIVED_LATELY
from tests.index.inside import Inside, StoppedClock
from tests.sync.rounds import AT, changed, outcome_of


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[PollContext]:
    inside = Inside(tmp_path, StoppedClock(AT), profiles=())
    yield PollContext(
        connection_state=inside.state.connections["anna"],
        writer=inside.writer,
        ledger=inside.ledger,
        client=None,  # type: ignore[arg-type]
        read_feed=None,  # type: ignore[arg-type]
        clock=inside.clock,
    )
    inside.close()


async def test_an_event_that_goes_to_and_fro_has_turned_up_only_where_it_came_last(context: PollContext) -> None:
    work, home = changed(1), changed(2)
    for comes, goes in ((home, work), (work, home)):
        remember_arrivals(context, outcome_of(comes, new=[3]), at=AT)
        remember_arrivals(context, outcome_of(goes, gone=[3]), at=AT)
    assert recent_arrivals(context, AT) == {"u3": frozenset({1})}
    assert not recent_arrivals(context, AT + ARRIVED_LATELY)  # type: ignore[arg-type]


async def test_an_event_that_gets_another_name_in_its_calendar_has_turned_up_there(context: PollContext) -> None:
    remember_arrivals(context, outcome_of(changed(1), gone=[3], new=[13], arrived=["u3"]), at=AT)
    assert recent_arrivals(context, AT) == {"u3": frozenset({1})}
