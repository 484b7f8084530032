"""What the service manager is told of how the daemon is."""

import asyncio

from busyd.service.summary import StatusLine


async def test_changes_that_follow_one_another_are_told_at_once_and_once_more_after_a_pause() -> None:
    told, again = list[str](), asyncio.Event()

    def tell() -> None:
        told.append("told")
        if len(told) > 1:
            again.set()

    line = StatusLine(tell, pause=0.001)
    for _ in range(1000):
        line.change()
    assert len(told) == 1
    await again.wait()
    line.close()
    assert len(told) == 2


async def test_a_closed_line_tells_nothing_that_waits_and_can_be_used_again() -> None:
    told = list[str]()
    line = StatusLine(lambda: told.append("told"), pause=3600)
    line.change()
    line.change()
    line.close()
    assert len(told) == 1
    line.change()
    assert len(told) == 2
    line.close()
