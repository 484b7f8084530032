"""What a row of the benchmark finds: a figure beside its goal. Figures are ratios of interleaved rounds, or counts.

Absolute times are worth little where a host steals CPU; a ratio taken in one run, round by round, is what is compared.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    goal: int
    """Number of the goal; see `__main__`."""
    what: str
    figure: str
    wanted: str = ""
    """`>= 0.80`; empty for what is only shown."""
    reached: bool | None = None
    """None for what is only shown, or could not be measured."""

    @property
    def verdict(self) -> str:
        """One word for the table."""
        if self.reached is None:
            return "-"
        return "yes" if self.reached else "NO"


def ratio(
    goal: int,
    what: str,
    *,
    values: Sequence[float],
    at_least: float | None = None,
    at_most: float | None = None,
    unit: str = " x",
) -> Figure:
    """The median of one ratio a round, with the smallest and the largest, held against a bound."""
    middle = median(values)
    shown = f"{short(middle)}{unit} ({short(min(values))}-{short(max(values))})"
    if at_least is not None:
        return Figure(goal, what, shown, f">= {short(at_least)}", middle >= at_least)
    if at_most is not None:
        return Figure(goal, what, shown, f"<= {short(at_most)}", middle <= at_most)
    return Figure(goal, what, shown)


def count(
    goal: int, what: str, *, value: float, at_least: float | None = None, at_most: float | None = None, unit: str = ""
) -> Figure:
    """A number that hangs on nothing but the program, held against a bound."""
    shown = f"{short(value)}{unit}"
    if at_least is not None:
        return Figure(goal, what, shown, f">= {short(at_least)}", value >= at_least)
    if at_most is not None:
        return Figure(goal, what, shown, f"<= {short(at_most)}", value <= at_most)
    return Figure(goal, what, shown)


def missing(goal: int, what: str, *, why: str) -> Figure:
    """What could not be measured here, and why."""
    return Figure(goal, what, f"skipped: {why}")


def short(value: float) -> str:
    """Three digits that matter, thousands with commas."""
    if value == int(value):
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], unit: str) -> str:
    """Median, smallest and largest of a few absolute numbers, as a scale beside a ratio."""
    return f"{short(median(values))} {unit} ({short(min(values))}-{short(max(values))})"


def table(figures: Iterable[Figure]) -> str:
    """All figures under each other, by goal."""
    rows = [
        (str(one.goal), one.what, one.figure, one.wanted, one.verdict)
        for one in sorted(figures, key=lambda one: one.goal)
    ]
    rows.insert(0, ("goal", "what", "figure", "wanted", "reached"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
