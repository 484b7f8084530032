"""Every lie there is."""

from tests.lying import calendars, deltas, objects, scenarios
from tests.lying.server import LyingServer

ALL: tuple[type[LyingServer], ...] = tuple(
    one
    for module in (scenarios, objects, deltas, calendars)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, LyingServer) and one.__module__ == module.__name__
)
