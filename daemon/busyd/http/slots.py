"""`GET /v1/profiles/{profile}/slots`: where an appointment fits. Never offers what is not known to be free."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, cast

import msgspec
from msgspec import Struct

from busyd.availability.hours import Hours, SlotDefaults
from busyd.availability.slots import SlotShape, count_steps
from busyd.cooperative import in_slices, let_others_run
from busyd.flow.ask import FreeBusyAnswer, OnStale, resolve_unknown
from busyd.flow.backend import Backend
from busyd.flow.membership import Offer, make_offer
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.bodies import Slot, Slots, time_or_none
from busyd.http.call import Call
from busyd.http.freebusy import ask_freebusy, check_configured, parse_on_stale, profile_of, zone_of
from busyd.http.freebusy_json import headers_as_of
from busyd.http.problem import bad_request
from busyd.http.query import parse_seconds, parse_window, parse_word
from busyd.http.response import JSON, Finished, to_json
from busyd.period import Instant, Period, to_rfc3339

SHAPE_PARAMETERS: Final = frozenset(
    {"duration", "step", "notice", "buffer_before", "buffer_after", "hours", "tentative"}
)
PARAMETERS: Final = SHAPE_PARAMETERS | {"start", "end", "tz", "max_age", "on_stale"}
MAX_STEPS: Final = 300_000
"""Points of the grid inside the hours of a window: enough for 1000 days at a step of five minutes."""
_MINUTE: Final = 60


class SlotQuestion(Struct, frozen=True):
    """What is asked of one profile: its own settings where the query says nothing."""

    shape: SlotShape
    notice: int
    hours: Hours | None

    def offer(self, profile: ProfileView, *, now: Instant) -> Offer:
        """What the profile offers at this moment."""
        return make_offer(profile, self.shape, notice=self.notice, hours=self.hours, now=now)


class SlotsHandler:
    """Cuts free time into slots."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_slots(self, call: Call) -> web.StreamResponse:
        query, now = call.query, self._backend.clock.now()
        profile = profile_of(self._backend, call)
        window, _ = parse_window(query, now=now, zone=partial(zone_of, profile))
        question = question_of(query, profile.slots, hours=profile.hours)
        on_stale = parse_on_stale(query, default=OnStale.ERROR)
        await check_steps(window, [(profile, question)])
        check_configured(profile)
        around = question.shape.reach(window)
        answer = resolve_unknown(await ask_freebusy(self._backend, profile, window=around, query=query), on_stale)
        # With what was booked while that was waited for.
        offer = question.offer(profile_of(self._backend, call), now=now)
        body = _body(answer, window, slots=await in_slices(_write(offer.slots(answer.spans, window))))
        return await Finished(body, headers_as_of(JSON, answer.freshness)).response(call.head)


def _write(slots: Iterable[tuple[int, int] | None]) -> Generator[None, None, bytes]:
    """The slots as a JSON list. There may be hundreds of thousands, so it is written in slices."""
    pieces: list[str] = []
    for slot in slots:
        if slot is None:
            yield
        else:
            pieces.append(f'{{"start":"{to_rfc3339(slot[0])}","end":"{to_rfc3339(slot[1])}"}}')
    return f"[{','.join(pieces)}]".encode()


def _body(answer: FreeBusyAnswer, window: Period, *, slots: bytes) -> bytes:
    body = Slots(
        profile=answer.profile,
        start=to_rfc3339(window.start),
        end=to_rfc3339(window.end),
        as_of=time_or_none(answer.freshness.as_of),
        stale=answer.freshness.stale,
        complete=answer.complete,
        slots=cast(list[Slot], msgspec.Raw(slots)),  # goes out as it is
    )
    return to_json(body)


async def check_steps(window: Period, asked: Sequence[tuple[ProfileView, SlotQuestion]]) -> None:
    """Raises HttpProblem when the slots would be too many to look at."""
    steps = 0
    for profile, question in asked:
        step, length = question.shape.step, window.end - window.start
        # There are no more inside the hours than in the whole window, which is counted in no time.
        few = length // step <= MAX_STEPS // len(asked)
        if few:
            steps += length // step
        else:
            steps += count_steps(window, zone=zone_of(profile), hours=question.hours, step=step)
            await let_others_run()
    if steps > MAX_STEPS:
        detail = f"the window holds more than {MAX_STEPS} steps within working hours"
        raise bad_request(detail, fix="ask for a shorter window, or a longer step")


def question_of(query: Mapping[str, str], defaults: SlotDefaults, *, hours: Hours | None) -> SlotQuestion:
    """What a query asks of a profile with these settings. Raises HttpProblem."""
    if "hours" in query:
        parse_word("hours", query["hours"], words=("none",))
    notice = _duration_of(query, "notice", default=defaults.notice)
    return SlotQuestion(_shape_of(query, defaults), notice, None if "hours" in query else hours)


def _shape_of(query: Mapping[str, str], defaults: SlotDefaults) -> SlotShape:
    """The shape asked for, with the profile's own values where the query has none. Raises HttpProblem."""
    return SlotShape(
        duration=_duration_of(query, "duration", default=defaults.duration, least=_MINUTE),
        step=_duration_of(query, "step", default=defaults.step, least=_MINUTE),
        buffer_before=_duration_of(query, "buffer_before", default=defaults.buffer_before),
        buffer_after=_duration_of(query, "buffer_after", default=defaults.buffer_after),
        tentative_blocks=parse_word("tentative", query.get("tentative", "busy"), words=("busy", "free")) == "busy",
    )


def _duration_of(query: Mapping[str, str], name: str, *, default: timedelta, least: int = 0) -> int:
    """Seconds of a duration parameter. Raises HttpProblem."""
    text = query.get(name)
    return int(default.total_seconds()) if text is None else parse_seconds(name, text, least=least)
