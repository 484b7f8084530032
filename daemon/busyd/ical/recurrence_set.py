"""One master -> its occurrences in a span: DTSTART, RRULE, RDATE, without EXDATE and overrides, after THISANDFUTURE.

Everything is compared as instants (UTC); local days are compared only where a DATE meets a series of times or the
reverse.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Protocol

from busyd.ical.event import Event, Moment, read_moment
from busyd.ical.exclusions import Excluded, Future, local_day
from busyd.ical.facts import Facts, ProblemKind
from busyd.ical.limits import MAX_DATES, MAX_OCCURRENCES, MAX_RULES
from busyd.ical.lines import Component, Property
from busyd.ical.rule import BadRule, Frequency, Rule, by_days, read_rule
from busyd.ical.rule_expansion import walls_of_rule
from busyd.ical.rule_times import Budget, TooManyOccurrences, UnknownScale
from busyd.ical.subdaily import Run, runs_of_rule
from busyd.ical.values import DAY, BadValue, read_duration, read_time
from busyd.ical.zones import Zones
from busyd.period import Period


class Collector(Protocol):
    """Receives occurrences and problems, and limits the work spent on them."""

    budget: Budget

    def add(self, start: int, end: int, *, facts: Facts) -> None: ...
    def add_many(self, spans: Iterable[tuple[int, int]], facts: Facts) -> None: ...
    def unknown(self, start: int, end: int, *, why: str) -> None: ...
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
        self._recurs = "RRULE" in component.properties
        self._seen: set[int] = set()
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
        self._add(master.start, master.wall)
        if "RDATE" in properties:
            self._add_dates(properties["RDATE"])
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

    def _add_dates(self, lines: Iterable[Property]) -> None:
        taken = 0
        for parameters, text in lines:
            for value in text.split(","):
                if not value.strip():
                    continue
                taken += 1
                if taken > MAX_DATES:
                    self._collector.problem(ProblemKind.TOO_MUCH, "it has more RDATEs than busyd reads")
                    self._collector.unknown(
                        self._span.start, self._span.end, why="the event has more RDATEs than busyd reads"
                    )
                    return
                try:
                    self._add_date(parameters, value)
                except BadValue as error:
                    self._collector.problem(ProblemKind.BAD_TIME, f"an RDATE cannot be read: {error}")

    def _add_date(self, parameters: str, value: str) -> None:
        master = self._master
        first, slash, last = value.partition("/")
        moment = read_moment((parameters, first), self._zones)
        if slash:
            start = moment.instant
            end = read_period_end(moment, (parameters, last), zones=self._zones)
            if end < start:
                self._collector.problem(ProblemKind.BAD_TIME, "an RDATE period ends before it starts")
            elif not self._excluded.has(start, master.zone.wall(start)):
                self._put(start, end, facts=master.facts)
        elif moment.is_date == master.is_date:
            start = moment.instant
            self._add(start, moment.wall if moment.zone is master.zone else master.zone.wall(start))
        else:
            wall = local_day(moment, master) * DAY + master.wall % DAY
            self._add(master.zone.instant(wall), wall)

    def _add_rule(self, text: str) -> None:
        master = self._master
        try:
            rule = read_rule(text)
            for oddity in rule.oddities:
                self._collector.problem(ProblemKind.BAD_RULE, oddity)
            if master.is_date:
                rule = by_days(rule)
            self._expand(rule)
        except BadRule as error:
            self._collector.problem(ProblemKind.BAD_RULE, f"only its first occurrence counts: {error}")
        except UnknownScale as error:
            self._collector.problem(ProblemKind.BAD_RULE, str(error))
            self._collector.unknown(master.start, self._span.end, why=str(error))

    def _expand(self, rule: Rule) -> None:
        master = self._master
        zone = master.zone
        low = zone.wall(self._low) - DAY
        high, until = self._until(rule, zone.wall(self._high) + DAY)
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

    def _until(self, rule: Rule, high: int) -> tuple[int, int]:
        """(last wall time, last instant) that UNTIL allows.

        For zoned times, the RFC requires UTC. A DATE means the whole local day, a local time the clock of DTSTART. For
        all-day events, midnight and 23:59:59 UTC are common misspellings of a date.
        """
        no_end = 1 << 60
        if not rule.until:
            return high, no_end
        master = self._master
        try:
            wall, is_date, is_utc = read_time(rule.until)
        except BadValue as error:
            self._collector.problem(ProblemKind.BAD_RULE, f"UNTIL cannot be read, so the series has no end: {error}")
            return high, no_end
        if is_date or (master.is_date and (not is_utc or wall % DAY in (0, DAY - 1))):
            return min(high, wall - wall % DAY + DAY - 1), no_end
        if is_utc:
            return min(high, master.zone.wall(wall) + DAY), wall
        return min(high, wall), no_end

    def _add_runs(self, runs: Iterable[Run], until: int) -> None:
        """Dense occurrences that touch are merged into one block; others are listed up to the bound."""
        master = self._master
        taken = 0
        for run in runs:
            if run.size > 2 and not master.days and master.seconds >= run.step:
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
        holes = [(instant + offset, instant + offset) for instant in self._excluded.instants]
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


def read_period_end(start: Moment, line: Property, *, zones: Zones) -> int:
    """The end of a PERIOD, which is a time or a duration (RFC 5545 §3.3.9). Raises BadValue."""
    text = line[1].strip()
    if not text.upper().lstrip("+-").startswith("P"):
        return read_moment((line[0], text), zones).instant
    length = read_duration(text)
    if not length.days:
        return start.instant + length.seconds
    return start.zone.instant(start.zone.wall(start.instant) + length.days * DAY) + length.seconds
