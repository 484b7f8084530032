"""A server that is far away and allows little: 200 ms to each answer, and a refusal for who asks too much."""

from tests.bench.figures import Figure, count, ratio
from tests.bench.seed import Household
from tests.bench.stub import RETRY_AFTER, Exchange, Wish, control
from tests.bench.syncing import download, first_sync, running_stub, until_complete
from tests.bench.workshop import Workshop, busyd
from tests.ports import free_port

CALENDARS = 3
OBJECTS, FEW = 3000, 1000
_FAR = ("--delay", "200")
_THROTTLED = ("--most", "40", "--within", "10")
"""The 41st request within ten seconds is refused (429, Retry-After), and so are all until those are over."""


def measure_far(workshop: Workshop) -> list[Figure]:
    """Goal 7, far away: 3,000 objects (1,000 with --quick) at 200 ms, freely and where the server throttles."""
    values, objects = [], FEW if workshop.quick else OBJECTS
    with running_stub(CALENDARS, objects, *_FAR) as stub:
        for number in range(1 if workshop.quick else 3):
            raw = download(stub, CALENDARS, objects=objects)
            whole = first_sync(workshop, stub, f"far-{number}")
            values.append(whole.seconds / raw.seconds)
            workshop.say(f"  raw download {raw.seconds:.1f} s, full sync {whole.seconds:.1f} s")
    with running_stub(CALENDARS, objects, *_FAR, *_THROTTLED) as stub:
        household = Household(workshop.folder / "throttled")
        household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="60s")
        with busyd(household, settled=False) as daemon:
            until_complete(daemon, 600)  # after each refusal it waits longer
        log = control(stub.port, Wish())
    seconds = max(one.ended for one in log) - min(one.began for one in log)
    refused = sum(one.kind == "refused" for one in log)
    fetched = sum(one.objects for one in log)
    workshop.say(f"  throttled: complete after {seconds:.0f} s, {len(log)} requests, {refused} of them refused")
    return [
        ratio(7, "full sync at 200 ms, of raw download", values=values, at_most=1.35),
        count(7, "throttled: objects asked for, of those there are", value=fetched / objects, at_most=1.1, unit=" x"),
        count(7, "throttled: requests after a refusal, before its time", value=_hasty(log), at_most=2),
    ]


def _hasty(log: list[Exchange]) -> int:
    """Requests that came within the seconds the server asked to be left alone, each time at most: two may be under
    way."""
    most = 0
    for one in log:
        if one.kind == "refused":
            most = max(most, sum(one.ended < other.began < one.ended + RETRY_AFTER for other in log))
    return most
