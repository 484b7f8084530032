"""One master -> its occurrences in a span: DTSTART, RRULE, RDATE, without EXDATE, EXRULE and overrides, after
THISANDFUTURE.

Everything is compared as instants (UTC); local days are compared only where a DATE meets a series of times or the
reverse.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from busyd.ical.event import Event, Moment
from busyd.ical.exclusions import Excluded, Future, local_day
from busyd.ical.exrule import starts_of_exrule
from busyd.ical.facts import Facts, ProblemKind
from busyd.ical.limits import MAX_OCCURRENCES, MAX_RULES
from busyd.ical.lines import Component
from busyd.ical.rdate import ExtraDate, read_extra_dates
from busyd.ical.rule import BadRule, Frequency, Rule, by_days, read_rule
from busyd.ical.rule_expansion import walls_of_rule
from busyd.ical.rule_times import Budget, TooManyOccurrences, UnknownScale
from busyd.ical.subdaily import Run, runs_of_rule
from busyd.ical.until import until_of
from busyd.ical.values import DAY
from busyd.ical.zones import Zones
from busyd.period import EARLIEST, Period


class Collector(Protocol):
    """Receives occurrences and problems, and limits the work spent on them."""

    budget: Budget
    merges: bool
    """Dense occurrences that touch may come as one block."""

    def add(self, start: int, end: int, *, facts: Facts) -> None: ...
    def add_many(self, spans: Iterable[tuple[int, int]], facts: Facts) -> None: ...
    def unknown(self, start: int, end: int, *, why: str) -> None: ...
    def lose_track(self, why: str, *, since: int) -> None: ...
    def problem(self, kind: ProblemKind, reason: str) -> None: ...


class RecurrenceSet:
    """The occurrences of one master that no override replaces."""

    __slots__ = (
        "_collector",
        "_component",
        "_excluded",
        "_futures",
        "_high",
        "_low",
        "_master",
        "_periods",
        "_recurs",
        "_seen",
        "_span",
        "_zones",
    )

    def __init__(
        self,
        component: Component,
        master: Event,
        *,
        excluded: Excluded,
        futures: Iterable[Future],
        zones: Zones,
        span: Period,
        collector: Collector,
    ) -> None:
        self._component = component
        self._master = master
        self._excluded = excluded
        self._futures = sorted(futures, key=lambda future: future.after)
        self._zones = zones
        self._span = span
        self._collector = collector
        self._recurs = "RRULE" in component.properties or "EXRULE" in component.properties
        self._seen: set[int] = set()
        self._periods: set[int] = set()
        """Starts whose length an RDATE period gives, whatever else makes them (RFC 5545 §3.8.5.3)."""
        before, after = _reach(master)
        shift = DAY
        for future in self._futures:
            its_before, its_after = _reach(future.event)
            before, after = max(before, its_before), max(after, its_after)
            shift = max(shift, abs(future.shift) + DAY)
        self._low = span.start - after - shift
        self._high = span.end + before + shift

    def add_all(self) -> None:
        """Pass every occurrence and problem to the collector."""
        master, properties = self._master, self._component.properties
        for _, text in properties.get("EXRULE", ())[:MAX_RULES]:
            self._exclude_rule(text)
        dates = self._add_periods() if "RDATE" in properties else []
        self._add(master.start, master.wall)
        for date in dates:
            self._add_date(date.moment)
        rules = [text for _, text in properties.get("RRULE", ())]
        for text in rules[:MAX_RULES]:
            self._add_rule(text)
        if len(rules) > MAX_RULES:
            self._collector.problem(ProblemKind.TOO_MUCH, "it has more RRULEs than busyd expands")
            self._collector.unknown(master.start, self._span.end, why="the event has more RRULEs than busyd expands")

    def _add(self, start: int, wall: int) -> None:
        if start in self._seen:
            return
        self._seen.add(start)
        if self._excluded.has(start, wall):
            return
        event = self._master
        at = bisect_left(self._futures, start, key=lambda future: future.after) if self._futures else 0
        if at:
            future = self._futures[at - 1]
            event = future.event
            start, wall = future.move(wall, self._master)
        self._put(start, event.end(start, wall), facts=event.facts)

    def _put(self, start: int, end: int, *, facts: Facts) -> None:
        if self._recurs and not (
            start - facts.travel_before < self._span.end and end + facts.travel_after > self._span.start
        ):
            return
        self._collector.add(start, end, facts=facts)

    def _add_periods(self) -> list[ExtraDate]:
        """Add the RDATEs that have an end of their own; the others are returned."""
        master, collector = self._master, self._collector
        extra = read_extra_dates(self._component, self._zones, master=master)
        for why in extra.unreadable:
            collector.problem(ProblemKind.BAD_TIME, f"an RDATE cannot be read: {why}")
            self._lose_track(f"an RDATE cannot be read: {why}", since=EARLIEST)
        if extra.too_many:
            collector.problem(ProblemKind.TOO_MUCH, "it has more RDATEs than busyd reads")
            collector.unknown(self._span.start, self._span.end, why="the event has more RDATEs than busyd reads")
        for moment, end in extra.dates:
            if end is None:
                continue
            start = moment.instant
            if end < start:
                collector.problem(ProblemKind.BAD_TIME, "an RDATE period ends before it starts")
                continue
            self._periods.add(start)
            if not self._excluded.has(start, master.zone.wall(start)):
                self._put(start, end, facts=_facts_at(moment, master))
        self._seen |= self._periods
        return [date for date in extra.dates if date.end is None]

    def _add_date(self, moment: Moment) -> None:
        master = self._master
        if moment.zone.spread and moment.zone is not master.zone and not master.is_date:
            end = master.end(moment.instant, moment.wall) + moment.zone.spread
            self._put(moment.instant, end, facts=_facts_at(moment, master))
        elif moment.is_date == master.is_date:
            start = moment.instant
            self._add(start, moment.wall if moment.zone is master.zone else master.zone.wall(start))
        else:
            wall = local_day(moment, master) * DAY + master.wall % DAY
            self._add(master.zone.instant(wall), wall)

    def _lose_track(self, why: str, *, since: int) -> None:
        facts = self._master.facts
        if facts.status == "CANCELLED" or (facts.transp == "TRANSPARENT" and not facts.all_day):
            return  # whenever it is, it blocks nothing; what a DATE blocks is up to the person's rules
        self._collector.lose_track(why, since=since)

    def _exclude_rule(self, text: str) -> None:
        master, zone, budget = self._master, self._master.zone, self._collector.budget
        low, high = zone.wall(self._low) - DAY, zone.wall(self._high) + DAY
        try:
            self._excluded.instants.update(starts_of_exrule(text, master, low=low, high=high, budget=budget))
        except BadRule as error:
            reason = f"an EXRULE cannot be used, so what it takes out stays busy: {error}"
            self._collector.problem(ProblemKind.BAD_RULE, reason)

    def _add_rule(self, text: str) -> None:
        master = self._master
        try:
            rule = read_rule(text)
            for oddity in rule.oddities:
                self._collector.problem(ProblemKind.FORGIVEN, oddity)
            if master.is_date:
                rule = by_days(rule)
            self._expand(rule)
        except BadRule as error:
            reason = f"of a rule that cannot be read only the first occurrence is known: {error}"
            self._collector.problem(ProblemKind.BAD_RULE, reason)
            self._lose_track(reason, since=master.start)
        except UnknownScale as error:
            self._collector.problem(ProblemKind.BAD_RULE, str(error))
            self._collector.unknown(master.start, self._span.end, why=str(error))

    def _expand(self, rule: Rule) -> None:
        master = self._master
        zone = master.zone
        low = zone.wall(self._low) - DAY
        high, until = until_of(rule, master, high=zone.wall(self._high) + DAY)
        try:
            if rule.frequency > Frequency.DAILY and not self._futures:
                self._add_runs(
                    runs_of_rule(rule, master.wall, low=low, high=high, budget=self._collector.budget), until
                )
                return
            walls = walls_of_rule(rule, master.wall, low=low, high=high, budget=self._collector.budget)
        except TooManyOccurrences as error:
            walls = list(error.walls)
            self._collector.problem(ProblemKind.TOO_MUCH, str(error))
            self._collector.unknown(zone.instant(error.at), min(self._span.end, until), why=str(error))
        if walls:
            self._add_walls(walls, until)

    def _add_walls(self, walls: list[int], until: int) -> None:
        """Add what a rule gives; the walls are sorted."""
        master, excluded = self._master, self._excluded
        starts = master.zone.instants(walls)
        if self._futures or excluded.days or (master.days and not master.is_date):
            for start, wall in zip(starts, walls, strict=True):
                if start <= until:
                    self._add(start, wall)
            return
        low = self._span.start - master.facts.travel_after
        high = min(until + 1, self._span.end + master.facts.travel_before)
        if master.is_date:
            ends = master.zone.instants([wall + master.days * DAY for wall in walls])
            ends_by_start = {start: end for start, end in zip(starts, ends, strict=True) if start < high and low < end}
        else:
            length = master.seconds
            low -= length
            ends_by_start = {start: start + length for start in starts if low < start < high}
        for instants in (self._seen, excluded.instants):
            for start in ends_by_start.keys() & instants:
                del ends_by_start[start]
        self._seen.update(ends_by_start)
        self._collector.add_many(ends_by_start.items(), master.facts)

    def _add_runs(self, runs: Iterable[Run], until: int) -> None:
        """Dense occurrences that touch are merged into one block; others are listed up to the bound."""
        master = self._master
        taken = 0
        for run in runs:
            if self._collector.merges and run.size > 2 and not master.days and master.seconds >= run.step:
                taken += self._add_blocks(run, until)
            else:
                taken += run.size
                if taken <= MAX_OCCURRENCES:
                    self._add_walls(list(range(run.first, run.last + 1, run.step)), until)
            if taken > MAX_OCCURRENCES:
                raise TooManyOccurrences(run.first)

    def _add_blocks(self, run: Run, until: int) -> int:
        master = self._master
        blocks = 0
        for first, last, offset in master.zone.pieces(run.first, run.last):
            begin = first + (run.first - first) % run.step
            end = min(last, until + offset)
            end -= (end - begin) % run.step
            for low, high in self._gaps(begin, end, step=run.step, offset=offset):
                blocks += 1
                self._put(low - offset, high - offset + master.seconds, facts=master.facts)
        return blocks

    def _gaps(self, begin: int, end: int, *, step: int, offset: int) -> Iterator[tuple[int, int]]:
        """The evenly spaced walls from `begin` to `end` as (first, last), cut at what is excluded."""
        holes = [(instant + offset, instant + offset) for instant in self._excluded.instants | self._periods]
        holes += [(day * DAY, day * DAY + DAY - 1) for day in self._excluded.days]
        for first, last in sorted(holes):
            if last < begin or first > end or (first == last and (first - begin) % step):
                continue
            before = first - 1 - (first - 1 - begin) % step
            if before >= begin:
                yield begin, before
            begin = last + 1 + (begin - last - 1) % step
        if begin <= end:
            yield begin, end


def _reach(event: Event) -> tuple[int, int]:
    """How many seconds before and after its start an occurrence may matter."""
    longest = event.seconds + (event.days + 1) * DAY if event.days else event.seconds
    return event.facts.travel_before, longest + event.facts.travel_after


def _facts_at(moment: Moment, master: Event) -> Facts:
    """The facts of an RDATE: not understood where its own zone is unknown."""
    if not moment.zone.spread or master.facts.unknown:
        return master.facts
    return replace(master.facts, unknown=f"the time zone {moment.zone.name[:60]!r} of an RDATE is unknown")
