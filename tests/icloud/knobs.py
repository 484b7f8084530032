"""Everything about iCloud's behaviour that is uncertain, or that varies, as one switchboard per account.

The defaults are what most witnesses saw; where they are silent, the harder variant for a client. Numbers in brackets
are items of the table in README.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tests.icloud.faults import Fault, FaultQueue, Kind

Rewriting = Literal[
    "second-dtstamp",
    "apple-lines",
    "schedule-status",
    "reordered",
    "vtimezone-last",
    "recurrence-exception",
    "no-x-properties",
]


@dataclass(slots=True, kw_only=True)
class Knobs:
    # Discovery and hosts
    collection_get: Literal["empty", "html"] = "empty"  # (3) body of the 400 on GET of a collection
    well_known: Literal["direct207", "redirect301", "redirect308", "404"] = "direct207"  # (4)
    short_principal_href: bool = False  # (6) /principal/ instead of the path asked for
    shard: Literal["serves", "resets", "404", "421", "401"] = "serves"  # (7) the account's own shard
    wrong_shard: Literal["serves", "421", "401"] = "421"  # (64) the other shard
    bootstrap_redirect: int = 0  # (10) 301, 302, 307 or 308: every request on the generic host
    redirect_to: Literal["shard", "http", "other-domain", "private-address", "loop"] = "shard"  # (63)
    homes: Literal["own", "both", "team"] = "own"  # (5) what the principal names: the home, that of the team, or both
    team_calendars: set[str] = field(default_factory=set)  # (5) ids of calendars that are in the team's home
    # Authentication
    combined_challenge: bool = False  # (12) the answer of Apple's edge
    revoked: bool = False  # (13) every app-specific password is gone
    spurious_401_every: int = 0  # (14) every n-th request fails for no reason
    # Listing
    shuffled_listing: bool = False  # (16)
    subscribed_is_calendar: bool = False  # (20) a subscription is of type calendar as well
    multistatus_type: Literal["text/xml", "application/xml", "text/html", ""] = "text/xml"  # (17)
    empty_404_status: bool = False  # (17) <status></status> in the 404 propstat
    allprop: Literal["small", "500"] = "small"  # (22)
    deleted_calendars_return: bool = False  # (24) re-created under the same path, a calendar has its old events
    listing_hides: set[str] = field(default_factory=set)  # (57) ids of calendars
    listing_only_home: bool = False  # (57)
    listing_truncates_at: int = 0  # (57) members in a listing, which then ends with a 507
    listing_repeats: set[str] = field(default_factory=set)  # (57) ids that come again at the end, as they were made
    listing_fails: set[str] = field(default_factory=set)  # (57) ids whose properties are in a 503 propstat
    listing_outbox: set[str] = field(default_factory=set)  # (16) ids of calendars that are the outbox as well: SOGo's
    ctag_missing: set[str] = field(default_factory=set)  # (58) ids
    gone_but_listed: set[str] = field(default_factory=set)  # (59) ids: 404 to themselves
    ghosts: set[str] = field(default_factory=set)  # (59) names of members that are listed and 404
    # Sync and reports
    created_and_deleted: Literal["404", "absent"] = "404"  # (27)
    invalid_token: Literal["403", "bare403", "409", "410", "everything", "500"] = "403"  # (28)
    self_without_slash: bool = False  # (25) how a report spells the collection itself
    sync_truncates_at: int = 0  # (30) members per answer
    sync_answers_empty: set[str] = field(default_factory=set)  # (58) ids
    sync_denies: int = 0  # (27) so many members that are there are in a delta as 404, too
    members_lost: set[str] = field(default_factory=set)  # (58) ids: no report and no listing has a member, GET has all
    members_truncate_at: int = 0  # (57) members in the listing of a calendar, which then ends with a 507
    member_hrefs: Literal["plain", "encoded", "absolute", "relative"] = "plain"  # (25) how reports and listings spell
    multiget_missing: Literal["404", "absent"] = "404"  # (32)
    multiget_returns_at_most: int = 0  # (32)
    multiget_lag_seconds: float = 0.0  # (32) multigets give the version of so long ago, with its ETag
    expand: Literal["ignored", "expanded"] = "ignored"  # (34)
    reports_strip: bool = True  # (37) no VERSION, PRODID, VTIMEZONE in reports
    blank_lines_before_data: bool = True  # blank lines before BEGIN:VCALENDAR
    # Writes
    put_gives_etag: bool = True  # (39)
    put_created_status: Literal[201, 204] = 201  # (39)
    if_match_star: Literal["412", "accepted"] = "412"  # (40)
    missing_vtimezone: Literal[400, 403] = 400  # (41)
    method_property: Literal["403", "accepted"] = "403"  # (41)
    uid_conflict: Literal["412", "403"] = "412"  # (42)
    tombstone_seconds: float = 60.0  # (43)
    content_type_refusal: Literal[415, 400] = 415  # (44)
    move_keeps_etag: bool = False  # (46)
    rewriting: set[Rewriting] = field(default_factory=set)  # (48)
    lag_seconds: float = 0.0  # (50)
    get_lag_seconds: float = 0.0  # (50) GET knows of what is at least so old, too
    lag_token_ahead: bool = False  # (50) the token is newer than what is shown: the lost update
    max_object_bytes: int = 20 * 1024 * 1024  # (61)
    # Throttling and transport
    throttle_requests: int = 0  # (53) allowed in a window; 0 is no limit
    throttle_window: float = 60.0
    throttle_block: float = 10.0  # seconds a block lasts after the last request that met it
    throttle_retry_after: int | None = 1  # (54) what the 503 claims; None leaves the header out
    throttle_parallel: int = 0  # requests at the same time; 0 is no limit
    gzip: bool = False  # (60)
    chunked: bool = False  # (60)
    idle_seconds: float = 15.0  # (55) an idle connection is closed after so long; 0 never
    faults: FaultQueue = field(default_factory=FaultQueue)

    def play(self, kind: Kind, **details: Any) -> Fault:
        """Queue a fault of `faults.py`; `details` are its fields (times, skip, method, path, status, seconds, ...)."""
        return self.faults.add(Fault(kind=kind, **details))

    def fail_next(
        self,
        status: int,
        *,
        times: int | None = 1,
        retry_after: int | str | None = None,
        method: str = "",
        path: str = "",
        skip: int = 0,
    ) -> Fault:
        """The next requests get this status and an empty body; nothing is done."""
        return self.play(
            "status", status=status, times=times, retry_after=retry_after, method=method, path=path, skip=skip
        )

    def redirect_next(self, location: str, *, status: int = 301, times: int | None = 1, path: str = "") -> Fault:
        return self.play("status", status=status, location=location, times=times, path=path)

    def apply(self, settings: Mapping[str, object]) -> None:
        """Turn several knobs from JSON; `ValueError` names the knob and what it takes, and then none is turned."""
        checked = {name: _checked(name, value) for name, value in settings.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Back to the defaults, and no fault waiting."""
        fresh = Knobs()
        for knob in fields(self):
            setattr(self, knob.name, getattr(fresh, knob.name))

    def as_json(self) -> dict[str, object]:
        return {
            name: sorted(value) if isinstance(value, set) else value
            for name, value in asdict(self).items()
            if name != "faults"
        }


_HINTS = {name: hint for name, hint in get_type_hints(Knobs).items() if name != "faults"}


def _checked(name: str, value: object) -> object:
    if name not in _HINTS:
        message = f"no knob is called {name!r}; there are {', '.join(_HINTS)}"
        raise ValueError(message)
    hint = _HINTS[name]
    if get_origin(hint) is set:
        members = get_args(get_args(hint)[0])
        if isinstance(value, list) and all(isinstance(item, str) and item in (members or [item]) for item in value):
            return set(value)
    elif get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif (hint is float and type(value) in (int, float)) or type(value) in (hint, *get_args(hint)):
        return value
    message = f"{name} cannot be {value!r}; it takes {hint}"
    raise ValueError(message)
