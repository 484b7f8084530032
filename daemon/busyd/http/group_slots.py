"""`GET /v1/slots`: where an appointment fits for several people, and who is free in each slot.

Somebody is free in a slot exactly when the slots of that profile alone, with the same parameters, have it: so it can be
booked there. Whose calendars are not proved is never free.
"""

import asyncio
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from busyd.availability.together import Together, slots_together
from busyd.cooperative import in_slices, let_others_run
from busyd.flow.ask import FreeBusyAnswer, NotConfirmed, OnStale, resolve_unknown
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.bodies import GroupSlot, GroupSlots, PersonInAnswer, time_or_none
from busyd.http.call import Call
from busyd.http.freebusy import ask_freebusy, check_configured, parse_on_stale, view_of, zone_of
from busyd.http.problem import bad_request, unknown_profile
from busyd.http.query import parse_window, parse_word, quoted
from busyd.http.response import JSON, Finished, headers_for, to_json
from busyd.http.slots import PARAMETERS as OF_ONE
from busyd.http.slots import SlotQuestion, check_steps, question_of
from busyd.period import FbType, Instant, Period, Span, clip, to_rfc3339

PARAMETERS: Final = OF_ONE | {"profiles", "mode", "rank"}
MOST_PEOPLE: Final = 50
MODE_PATTERN: Final = "^(all|any|n:[1-9][0-9]?)$"
_NUMBERED: Final = "n:"


class GroupSlotsHandler:
    """Cuts the time of several people into slots."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_slots(self, call: Call) -> web.StreamResponse:
        query, now = call.query, self._backend.clock.now()
        people = self._people(call)
        least = _least_of(query, len(people))
        by_load = "rank" in query
        if by_load:
            parse_word("rank", query["rank"], words=("least-busy",))
        first = people[0]
        window, _ = parse_window(query, now=now, zone=partial(zone_of, first))
        on_stale = parse_on_stale(query, default=OnStale.ERROR)
        # All slots are of one length: where the query says nothing, that of the first.
        shared = {"duration": first.slots.duration, "step": first.slots.step}
        asked = [(view, question_of(query, replace(view.slots, **shared), hours=view.hours)) for view in people]
        await check_steps(window, asked)
        for view in people:
            check_configured(view)
        answers = await self._ask(asked, window, query=query, on_stale=on_stale)
        slots, loads = [], []
        for answer, (view, question) in zip(answers, asked, strict=True):
            spans, offer = answer.spans, question.offer(view_of(self._backend, view.name), now=now)
            slots.append(offer.slots(spans, window))
            loads.append(_load(spans, question, window=window))
            await let_others_run()
        order = sorted(range(len(people)), key=loads.__getitem__) if by_load else range(len(people))
        together = await in_slices(slots_together([slots[number] for number in order], least=least))
        names = [people[number].name for number in order]
        body = GroupSlots(
            start=to_rfc3339(window.start),
            end=to_rfc3339(window.end),
            as_of=time_or_none(_oldest(answers)),
            stale=any(answer.freshness.stale for answer in answers),
            complete=all(answer.complete for answer in answers),
            profiles=[_person(answer, load) for answer, load in zip(answers, loads, strict=True)],
            slots=cast(
                list[GroupSlot],
                msgspec.Raw(await in_slices(_write(together, names, length=asked[0][1].shape.duration))),
            ),
        )
        return await Finished(to_json(body), headers_for(JSON)).response(call.head)

    def _people(self, call: Call) -> list[ProfileView]:
        """Those that are asked for. Raises HttpProblem."""
        names = [name for name in call.query.get("profiles", "").split(",") if name]
        if not names:
            raise bad_request("profiles= names no profile", fix="write profiles=anna,ben")
        if len(names) > MOST_PEOPLE:
            detail = f"{len(names)} profiles are named, more than {MOST_PEOPLE}"
            raise bad_request(detail, fix=f"name at most {MOST_PEOPLE} at a time")
        if len(set(names)) < len(names):
            raise bad_request("profiles= names a profile twice", fix="name each once")
        for name in names:
            if not call.caller.sees(name):
                raise unknown_profile(name)
        return [view_of(self._backend, name) for name in names]

    async def _ask(
        self,
        asked: Sequence[tuple[ProfileView, SlotQuestion]],
        window: Period,
        *,
        query: Mapping[str, str],
        on_stale: OnStale,
    ) -> list[FreeBusyAnswer]:
        """What is known of each, at once; of several faults the first is raised. Raises HttpProblem, Unanswerable."""
        told = await asyncio.gather(
            *(
                self._ask_one(view, question.shape.reach(window), query=query, on_stale=on_stale)
                for view, question in asked
            ),
            return_exceptions=True,
        )
        answers = []
        for answer in told:
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
        return answers

    async def _ask_one(
        self, view: ProfileView, around: Period, *, query: Mapping[str, str], on_stale: OnStale
    ) -> FreeBusyAnswer:
        try:
            answer = await ask_freebusy(self._backend, view, window=around, query=query)
        except NotConfirmed:
            if on_stale is not OnStale.BUSY:
                raise
            # The others need not wait for this one to be reachable again.
            return replace(await self._backend.freebusy(view.name, around), gaps_are_free=False, complete=False)
        return resolve_unknown(answer, on_stale)


def _least_of(query: Mapping[str, str], count: int) -> int:
    """How many must be free. Raises HttpProblem."""
    mode = query.get("mode", "all")
    if mode in ("all", "any"):
        return count if mode == "all" else 1
    number = mode.removeprefix(_NUMBERED)
    if mode.startswith(_NUMBERED) and number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= count:
        return int(number[:9])
    detail = f"mode={quoted(mode)} is not a known value for {count} profiles"
    raise bad_request(detail, fix=f"mode may be: all, any, n:1 to n:{count}")


def _load(spans: Iterable[Span], question: SlotQuestion, *, window: Period) -> int:
    """Seconds of a window that are not free for somebody."""
    least = FbType.BUSY_TENTATIVE if question.shape.tentative_blocks else FbType.BUSY_UNAVAILABLE
    return sum(end - start for start, end, fbtype in clip(spans, window) if fbtype >= least)


def _oldest(answers: Sequence[FreeBusyAnswer]) -> Instant | None:
    """Since when everything is known; None when something never was."""
    confirmed = [answer.freshness.as_of for answer in answers]
    return min((as_of for as_of in confirmed if as_of is not None), default=None) if None not in confirmed else None


def _person(answer: FreeBusyAnswer, load: int) -> PersonInAnswer:
    return PersonInAnswer(
        profile=answer.profile,
        as_of=time_or_none(answer.freshness.as_of),
        stale=answer.freshness.stale,
        complete=answer.complete,
        busy_seconds=load,
    )


def _write(together: Sequence[Together], names: Sequence[str], *, length: int) -> Generator[None, None, bytes]:
    """The slots as a JSON list, written in slices: there may be hundreds of thousands."""
    free: dict[tuple[int, ...], str] = {}
    pieces: list[str] = []
    for count, (start, numbers) in enumerate(together, 1):
        if numbers not in free:
            free[numbers] = msgspec.json.encode([names[number] for number in numbers]).decode()
        pieces.append(f'{{"start":"{to_rfc3339(start)}","end":"{to_rfc3339(start + length)}","free":{free[numbers]}}}')
        if count % 500 == 0:
            yield
    return f"[{','.join(pieces)}]".encode()
