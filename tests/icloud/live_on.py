"""Life goes on in an account: now and then something is made, moved or called off, so that there is something to watch.

Changes come as from a phone, never through HTTP. `scripts/demo` runs this beside the daemon.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from tests.icloud.accounts import Account
from tests.icloud.apple_text import calendar, event, utc

_OCCASIONS = ("Coffee with Ben", "Parcel to be fetched", "Call the landlord", "Pair on the release", "School run")


@dataclass(frozen=True, slots=True)
class _Happening:
    name: str
    summary: str
    start: datetime
    minutes: int


def _machine_now() -> datetime:
    return datetime.now(UTC)


async def live_on(
    account: Account,
    *,
    calendar_id: str = "work",
    every: float = 30.0,
    rounds: int | None = None,
    now: Callable[[], datetime] = _machine_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    say: Callable[[str], None] = print,
    seed: int | None = None,
    zone: tzinfo | None = None,
) -> None:
    """Make a change every so many seconds, for ever or for some rounds, and `say` one line about each.

    The first one is always a new event within the next hours. Times are told in `zone`, else in the machine's own.
    """
    chance = random.Random(seed)
    coming: list[_Happening] = []
    done = 0
    while rounds is None or done < rounds:
        told = _change(account, calendar_id, coming=coming, chance=chance, now=now(), zone=zone)
        say(f"{now().astimezone(zone):%H:%M:%S} {told}")
        done += 1
        await sleep(every)


def _change(
    account: Account,
    calendar_id: str,
    *,
    coming: list[_Happening],
    chance: random.Random,
    now: datetime,
    zone: tzinfo | None,
) -> str:
    target = account.calendars[calendar_id]
    coming[:] = [happening for happening in coming if happening.start > now and target.get(happening.name)]
    what = chance.choice(("new", "moved", "deleted")) if coming else "new"
    if what == "deleted":
        gone = coming.pop(chance.randrange(len(coming)))
        target.delete(gone.name)
        return f"deleted in {target.name}: {_told(gone, zone)}"
    if what == "moved":
        old = coming.pop(chance.randrange(len(coming)))
        moved = _Happening(old.name, old.summary, old.start + timedelta(minutes=30), old.minutes)
    else:
        quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
        start = quarter + timedelta(minutes=15 * chance.randrange(2, 17))
        name = f"{uuid.UUID(int=chance.getrandbits(128), version=4)}.ics".upper().replace(".ICS", ".ics")
        moved = _Happening(name, chance.choice(_OCCASIONS), start, chance.choice((30, 45, 60)))
    coming.append(moved)
    end = moved.start + timedelta(minutes=moved.minutes)
    text = event(moved.name.removesuffix(".ics"), moved.summary, utc(moved.start, end), f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}")
    target.put(moved.name, calendar(text))
    return f"{what} in {target.name}: {_told(moved, zone)}"


def _told(happening: _Happening, zone: tzinfo | None) -> str:
    start = happening.start.astimezone(zone)
    return f"{happening.summary}, {start:%a %H:%M} to {start + timedelta(minutes=happening.minutes):%H:%M}"
