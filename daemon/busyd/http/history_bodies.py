"""What is told of the past of a moment, as JSON."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from busyd.http.bodies import Count, CountsAs, ExplainedEvent, Time


class HistoryEvent(Struct, frozen=True):
    """An event that made the moment another one: it `blocks` since then, blocks in another way (`changed`), no longer
    does (`released`), or was `deleted`. `summary` is its title now, null when the event is gone or has none.
    `created` and `last_modified` are what its calendar said at that time, which nobody has checked.
    """

    calendar: str
    uid: str
    href: str
    summary: str | None
    what: Literal["blocks", "changed", "released", "deleted"]
    created: Time | None
    last_modified: Time | None


class HistoryRow(Struct, frozen=True):
    """What busyd itself booked, held or blocked, or gave back."""

    kind: str
    id: str


class HistoryOrigin(Struct, frozen=True):
    """Where a change comes from: events (and how many `more`), what is busyd's own, and calendars that count since
    then, no longer count, or count by other rules.
    """

    events: list[HistoryEvent]
    more: Count
    own: list[HistoryRow]
    counts: list[str]
    counts_no_longer: list[str]
    other_rules: list[str]


class HistoryChange(Struct, frozen=True):
    """An entry of the log of changes that concerns the moment. `at` is when busyd noticed it; `confirmed_before` when
    the server of each calendar had last confirmed what was known before. `origin` is null when it is not known, or
    the caller may not see details.
    """

    id: Count
    at: Time
    event: Annotated[str, Meta(pattern="^(busy|free|appointment|connection|reset)$")]
    data: msgspec.Raw
    confirmed_before: dict[str, Time]
    origin: HistoryOrigin | None


class HoursChange(Struct, frozen=True):
    """The working hours of the profile came to be others: whether they hold the moment since then, and did before; null
    where there were none. Noticed at a start or a reload.
    """

    at: Time
    within_hours: bool | None
    before: bool | None


class HistoryAnswer(Struct, frozen=True):
    """What is known of a moment now, and what changed, in order. `since` is when busyd noticed what became of it last:
    null when nothing has changed since `known_since`, before which nothing is known; that is null for a moment that
    the log does not follow. `events` is null for who may not see details; `truncated` says that there were more changes
    than are told. `within_hours` is null without working hours.
    """

    profile: str
    at: Time
    now: Time
    type: CountsAs
    as_of: Time | None
    stale: bool
    complete: bool
    within_hours: bool | None
    hours_changes: list[HoursChange]
    since: Time | None
    known_since: Time | None
    events: list[ExplainedEvent] | None
    changes: list[HistoryChange]
    truncated: bool
