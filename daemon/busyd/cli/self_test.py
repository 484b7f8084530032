"""The self-test of a server: does it do what busyd relies on? One report entry per step. Reads only.

Each step is something busyd does in daily operation, tried on one calendar. Deviations are reported with the request
ids by which Apple can find the requests. Writing is `self_test_writes.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from busyd.advice.diagnosis import describe_clock
from busyd.cli.doctor_report import Labels, Level, ReportEntry
from busyd.cli.exit_status import ExitStatus
from busyd.cli.remote_session import SECOND_TRY, STATUS_OF, RemoteSession
from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav.errors import InvalidSyncToken, LoginRefused, ServerFault, SyncUnsupported
from busyd.dav.exchange import DavRequest, DavResponse, Operation, raise_for_status
from busyd.dav.operation import Account, Listing, SyncDelta, fetch_objects, list_members, list_within, sync_collection
from busyd.errors import RemoteError
from busyd.period import Instant, Period
from busyd.remote.errors import NOTHING_SENT
from busyd.remote.observer import Exchange
from busyd.remote.redaction import WireRedactor

Result = tuple[Level, str]
"""The level and message of a step."""
Step = Callable[[], Awaitable[Result]]

DAY: Final = 86_400
_BATCH: Final = 50
_ROUNDS: Final = 100
"""A truncated sync is continued at most this many times."""
_EXCERPT: Final = 2000
"""Characters of a response that go into the report."""
_MADE_UP: Final = "data:,busyd-self-test-0"


class Steps:
    """Runs steps for one connection, and turns each into a report entry with its exchanges."""

    def __init__(self, session: RemoteSession, labels: Labels, *, worked_before: bool) -> None:
        self.session = session
        self.subject = labels.of("connection", session.connection.name)
        self._labels = labels
        self._worked_before = worked_before
        self._redactor = WireRedactor()

    async def take(self, check: str, step: Step, *, again: bool = True, if_failed: tuple[str, ...] = ()) -> ReportEntry:
        """Run one step. A RemoteError becomes an entry too, with `if_failed` first among the things to do.

        With `again`, one refusal of a login that has just worked is tried again: iCloud occasionally refuses one.
        """
        exchanges = self.session.observer.exchanges
        before, started = len(exchanges), self.session.clock.monotonic()
        steps, status, code = if_failed, ExitStatus.FAILED, ""
        try:
            level, message = await self._attempt(step, again=again)
        except RemoteError as error:
            diagnosis = await self.session.explain(error, worked_before=self._worked_before)
            level, message, status = Level.FAILED, diagnosis.message, STATUS_OF[diagnosis.outcome]
            steps, code = (*if_failed, *diagnosis.steps), diagnosis.code
        return ReportEntry(
            self.subject,
            check,
            level,
            self._labels.scrub(message),
            tuple(self._labels.scrub(step_text) for step_text in steps) if level is Level.FAILED else (),
            {
                "milliseconds": round((self.session.clock.monotonic() - started) * 1000),
                "exchanges": [self._describe(exchange) for exchange in exchanges[before:]],
            },
            status,
            code,
        )

    async def _attempt(self, step: Step, *, again: bool) -> Result:
        try:
            return await step()
        except LoginRefused as error:
            if not again or isinstance(error, NOTHING_SENT):
                raise
        await self.session.clock.sleep(SECOND_TRY)
        return await step()

    def _describe(self, exchange: Exchange) -> dict[str, Any]:
        described: dict[str, Any] = {
            "method": exchange.request.method,
            "path": self._redactor.url(exchange.response.url if exchange.response else exchange.request.target),
            "status": exchange.status,
            "request_id": exchange.request_id,
            "milliseconds": round(exchange.seconds * 1000),
        }
        if exchange.error is not None:
            described["error"] = type(exchange.error).__name__
        if exchange.response is not None:
            described["body"] = self._redactor.body(exchange.response.body).decode("utf-8", "replace")[:_EXCERPT]
        return described


class SelfTest:
    """The reading steps, on one calendar of an account."""

    def __init__(self, session: RemoteSession, account: Account, *, calendar: RemoteCalendar) -> None:
        self._session = session
        self._account = account
        self._calendar = calendar
        self._members: tuple[str, ...] = ()
        self._token: str | None = None

    def steps(self) -> list[tuple[str, Step]]:
        """Name and work of each step, in order."""
        return [
            ("options", self._options),
            ("sync-empty", self._sync_empty),
            ("sync-token", self._sync_token),
            ("sync-made-up-token", self._sync_made_up_token),
            ("multiget-1", lambda: self._multiget(1)),
            ("multiget-50", lambda: self._multiget(_BATCH)),
            ("query", self._query),
        ]

    async def _options(self) -> Result:
        allowed, offered = await self._session.client.run(_ask_options(self._account.homes[0]))
        if "calendar-access" not in offered:
            return Level.WARNING, "the calendar home does not advertise calendar-access"
        return Level.OK, f"the calendar home advertises calendar-access and {len(allowed)} methods"

    async def _sync_empty(self) -> Result:
        try:
            delta = await self._session.client.run(sync_collection(self._calendar.href, None))
            members, spelled = dict(delta.changed), dict(delta.spelled)
            for _ in range(_ROUNDS):
                if not delta.truncated:
                    break
                delta = await self._session.client.run(sync_collection(self._calendar.href, delta.token))
                members, spelled = members | delta.changed, spelled | delta.spelled
        except SyncUnsupported:
            listed = await self._session.client.run(list_members(self._calendar.href))
            self._members = tuple(listed.spelled.get(href, href) for href in listed.etags)
            count = len(self._members)
            return Level.WARNING, f"sync-collection is not supported; busyd compares listings ({count} events)"
        self._members, self._token = tuple(spelled.get(href, href) for href in members), delta.token
        if self._token is None:
            return Level.WARNING, f"an initial sync lists {len(members)} events, but gives no sync token"
        return Level.OK, f"an initial sync lists {len(members)} events and gives a sync token"

    async def _sync_token(self) -> Result:
        if self._token is None:
            return Level.SKIPPED, "no sync token to try"
        delta: SyncDelta = await self._session.client.run(sync_collection(self._calendar.href, self._token))
        if delta.changed or delta.vanished:
            changes = len(delta.changed) + len(delta.vanished)
            return Level.WARNING, f"a fresh sync token returns {changes} changes immediately"
        return Level.OK, "a fresh sync token returns no changes while nothing changes"

    async def _sync_made_up_token(self) -> Result:
        if self._token is None:
            return Level.SKIPPED, "no sync token to compare with"
        try:
            delta = await self._session.client.run(sync_collection(self._calendar.href, _MADE_UP))
        except InvalidSyncToken as error:
            return Level.OK, f"an invalid sync token is refused (status {error.status})"
        except SyncUnsupported as error:
            return Level.WARNING, f"an invalid sync token gets status {error.status}; busyd then starts over"
        except ServerFault as error:
            return Level.WARNING, f"an invalid sync token causes an internal server error (status {error.status})"
        return Level.WARNING, f"an invalid sync token is accepted and returns {len(delta.changed)} events"

    async def _multiget(self, number: int) -> Result:
        wanted = self._members[:number]
        if not wanted:
            return Level.SKIPPED, "the calendar is empty, so there are no events to fetch"
        fetched = await self._session.client.run(fetch_objects(self._calendar.href, wanted))
        if len(fetched.objects) < len(wanted):
            return (
                Level.WARNING,
                f"a multiget returns {len(fetched.objects)} of {len(wanted)} events; busyd fetches the rest",
            )
        return Level.OK, f"a multiget returns {len(wanted)} event{'' if len(wanted) == 1 else 's'}"

    async def _query(self) -> Result:
        now = self._session.clock.now()
        hrefs = await self._session.client.run(list_within(self._calendar.target, Period(now, Instant(now + 30 * DAY))))
        return Level.OK, f"a query finds {len(hrefs)} events in the next 30 days"


def describe_login(account: Account, listing: Listing, *, skew: int | None) -> Result:
    """What a login gives access to: counts, never names."""
    kinds = [calendar.kind for calendar in listing.calendars]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in CalendarKind if kind in kinds)
    message = f"logged in: {len(kinds)} calendars ({counts or 'none'}), {len(account.addresses)} own addresses"
    if reminders := len(listing.reminders):
        message += f"; {reminders} reminders list{'' if reminders == 1 else 's'}, which never block"
    clock = describe_clock(skew)
    if listing.unreadable:
        return Level.WARNING, f"{message}; {len(listing.unreadable)} could not be read"
    return (Level.WARNING, f"{message}; {clock}") if clock else (Level.OK, message)


def choose_calendar(listing: Listing, wanted: Sequence[str]) -> RemoteCalendar | None:
    """The calendar for the tests: one of the wanted hrefs, else one of the account's own, else any with events."""
    usable = [calendar for calendar in listing.calendars if calendar.kind is not CalendarKind.SUBSCRIBED]
    preferred = [calendar for calendar in usable if calendar.href in wanted]
    own = [calendar for calendar in usable if calendar.kind is CalendarKind.OWN]
    return next(iter([*preferred, *own, *usable]), None)


def _ask_options(home: str) -> Operation[tuple[frozenset[str], frozenset[str]]]:
    """The methods allowed and the DAV classes offered (RFC 4918 §10.1)."""
    response = yield DavRequest("OPTIONS", home)
    if response.status not in (200, 204):
        raise_for_status(response)
    return _words(response, "allow"), _words(response, "dav")


def _words(response: DavResponse, name: str) -> frozenset[str]:
    """The members of a list header, on however many lines (RFC 9110 §5.3)."""
    line = ",".join(value for key, value in response.headers if key.lower() == name)
    return frozenset(word.strip() for word in line.split(",") if word.strip())
