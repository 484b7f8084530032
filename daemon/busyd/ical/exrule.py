"""EXRULE (RFC 2445 §4.8.5.2): a rule whose occurrences are taken out of a series. Old, and still in calendars."""

from busyd.ical.event import Event
from busyd.ical.rule import BadRule, Frequency, by_days, read_rule
from busyd.ical.rule_expansion import walls_of_rule
from busyd.ical.rule_times import Budget, TooManyOccurrences, UnknownScale
from busyd.ical.until import until_of


def starts_of_exrule(text: str, master: Event, *, low: int, high: int, budget: Budget) -> list[int]:
    """The instants that it takes out between two wall times. Raises BadRule when it is not quite plain.

    What is forgiven in an RRULE would free time here, so a rule that needs it takes nothing out.
    """
    rule, zone = read_rule(text), master.zone
    if rule.oddities:
        raise BadRule(rule.oddities[0])
    if master.is_date:
        if rule.frequency > Frequency.DAILY:
            raise BadRule("it counts hours of whole days")
        rule = by_days(rule)
    high, until = until_of(rule, master, high=high)
    try:
        walls = walls_of_rule(rule, master.wall, low=low, high=high, budget=budget)
    except (TooManyOccurrences, UnknownScale) as error:
        raise BadRule(str(error)) from error
    return [start for start in zone.instants(walls) if start <= until]
