"""What the tools for an assistant do: requests to the daemon, and answers that say no more than is known."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

from busyd.cli.daemon_client import DaemonClient, profile_path
from busyd.cli.daemon_errors import RequestRefused
from busyd.cli.exit_status import CommandFailed
from busyd.cli.mcp_text import LocalClock, describe_failure, written_by_others

Answer = dict[str, Any]
MOST_PERIODS: Final = 100
"""Periods, slots and events of one answer."""
_ACCEPTED: Final = 202
_MADE_HERE: Final = {"booked_with": "busyd mcp"}
"""The metadata of what assistants have booked; it stays in busyd."""
_NOT_KNOWN: Final = "not_known"


class ToolFailed(Exception):
    """A tool cannot do what was asked; the text is for the assistant."""


class Tools:
    """The tools, each a request to the daemon."""

    def __init__(self, connect: Callable[[], DaemonClient], *, details: bool) -> None:
        """`details`: whether titles and places are told to whoever may see them."""
        self._connect = connect
        self._details = details

    def may_book(self) -> bool | None:
        """Whether the token has the scope `book`; None while nobody can say."""
        try:
            profiles = self._profiles()
            for name in profiles["profiles"]:
                self._connect().get(profile_path(name["name"], "holds"), {"start": "now", "end": "+1h"})
        except RequestRefused as refused:
            return None if refused.http_status >= 500 else False
        except CommandFailed:
            return None
        return bool(profiles["profiles"])

    def list_profiles(self) -> Answer:
        """Every profile that the token may see, on its own clock."""
        with _told():
            found = self._profiles()
            return {
                **LocalClock(found["now"], "UTC").told(),
                "profiles": [
                    {
                        "profile": one["name"],
                        **LocalClock(found["now"], one["timezone"]).told(),
                        "state": one["state"],
                        "confirmed_at": one["as_of"] and LocalClock(found["now"], one["timezone"]).local(one["as_of"]),
                        "can_be_answered": one["as_of"] is not None and not one["stale"],
                    }
                    for one in found["profiles"]
                ],
            }

    def check_busy(self, profile: str, *, start: str, end: str) -> Answer:
        """When somebody is busy in a window, and whether that is known."""
        with self._on_clock(profile) as clock:
            found = self._connect().get(profile_path(profile, "freebusy"), {"start": start, "end": end})
            known = bool(found["complete"]) and not found["stale"]
            busy = [{**clock.local_span(one), "type": one["type"]} for one in found["busy"]]
            return {
                **clock.told(),
                "profile": profile,
                **clock.local_span(found),
                "verdict": _verdict(found) if known else _NOT_KNOWN,
                "known": known,
                "confirmed_at": found["as_of"] and clock.local(found["as_of"]),
                "busy": busy[:MOST_PERIODS],
                "left_out": max(0, len(busy) - MOST_PERIODS),
                "warnings": list(_warnings(found)),
            }

    def find_slots(self, profile: str, *, start: str | None, end: str | None, duration: str | None) -> Answer:
        """Where an appointment fits. Refused when that is not known."""
        with self._on_clock(profile) as clock:
            query = {"start": start, "end": end, "duration": duration, "on_stale": "error"}
            found = self._connect().get(profile_path(profile, "slots"), query)
            slots = [clock.local_span(one) for one in found["slots"]]
            return {
                **clock.told(),
                "profile": profile,
                **clock.local_span(found),
                "confirmed_at": clock.local(found["as_of"]),
                "slots": slots[:MOST_PERIODS],
                "left_out": max(0, len(slots) - MOST_PERIODS),
            }

    def explain(self, profile: str, *, start: str, end: str) -> Answer:
        """What blocks a window, and why. Titles only where they are wanted and allowed."""
        with self._on_clock(profile) as clock:
            found = self._connect().get(profile_path(profile, "explain"), {"start": start, "end": end})
            events = [self._event(one, clock) for one in found["events"]]
            return {
                **clock.told(),
                "profile": profile,
                **clock.local_span(found),
                "titles": "shown" if self._details else "withheld",
                "events": events[:MOST_PERIODS],
                "left_out": max(0, len(events) - MOST_PERIODS),
            }

    def hold(self, profile: str, *, start: str, duration: str | None, minutes: int) -> Answer:
        """Keep an open slot for some minutes."""
        with self._on_clock(profile, writes=True) as clock:
            body = _given(start=start, duration=duration, ttl=f"{minutes}m")
            found = self._connect().change("POST", profile_path(profile, "holds"), body=body)
            return {
                **clock.told(),
                "profile": profile,
                "hold": found["id"],
                **clock.local_span(found),
                "expires": clock.local(found["expires"]),
            }

    def book(self, profile: str, *, start: str, duration: str | None, title: str, hold: str | None, key: str) -> Answer:
        """Book an open slot, once for each key."""
        body = _given(start=start, duration=duration, summary=title, hold=hold, metadata=_MADE_HERE)
        return self._write(profile, "appointments", method="POST", body=body, key=key)

    def move(self, profile: str, *, appointment: str, start: str, duration: str | None, key: str) -> Answer:
        """Move an appointment to another open slot."""
        path = self._booked_here(profile, appointment)
        return self._write(profile, path, method="PATCH", body=_given(start=start, duration=duration), key=key)

    def cancel(self, profile: str, *, appointment: str, key: str) -> Answer:
        """Cancel an appointment."""
        path = self._booked_here(profile, appointment)
        answer = self._write(profile, path, method="DELETE", key=key)
        return {**answer, "appointment": appointment}

    def _booked_here(self, profile: str, appointment: str) -> str:
        """The path of an appointment. Raises ToolFailed for one that no assistant has booked, whatever the token may.

        So a title can have nothing cancelled that a person, or another program, has booked.
        """
        path = f"appointments/{quote(appointment, safe='')}"
        with _told():
            found = self._connect().get(profile_path(profile, path))
        if found.get("metadata") != _MADE_HERE:
            raise ToolFailed("this appointment was not booked with `book`, so it is not for you to change")
        return path

    def _write(self, profile: str, path: str, *, method: str, key: str, body: Answer | None = None) -> Answer:
        with self._on_clock(profile, writes=True) as clock:
            reply = self._connect().request(method, profile_path(profile, path), body=body, key=key)
            settled = reply.status != _ACCEPTED
            told = {**clock.told(), "profile": profile, "settled": settled}
            if not settled:
                told["note"] = "busyd is still at it, and keeps the time: call again with the same idempotency_key"
            found = reply.body or {}
            if "id" in found:
                told |= {"appointment": found["id"], "state": found["state"], **clock.local_span(found)}
            else:
                told["state"] = "cancelled" if settled else "cancelling"
            return told

    def _profiles(self) -> Answer:
        found: Answer = self._connect().get("/v1/profiles")
        return found

    @contextmanager
    def _on_clock(self, profile: str, *, writes: bool = False) -> Iterator[LocalClock]:
        """The clock of a profile that is asked about; a refusal names what is open instead by it, as answers do."""
        with _told(writes=writes):
            clock = self._clock(profile)
            try:
                yield clock
            except RequestRefused as refused:
                if not refused.alternatives:
                    raise
                instead = ", ".join(clock.local(one["start"]) for one in refused.alternatives)
                text = f"{describe_failure(refused, writes=writes)}. Open instead: {instead}"
                raise ToolFailed(text) from None

    def _clock(self, profile: str) -> LocalClock:
        """The clock of a profile. Raises ToolFailed for one that the token may not see."""
        found = self._profiles()
        for one in found["profiles"]:
            if one["name"] == profile:
                return LocalClock(found["now"], one["timezone"])
        names = ", ".join(str(one["name"]) for one in found["profiles"])
        message = f"there is no profile {written_by_others(profile)!r} for this token; there are: {names or 'none'}"
        raise ToolFailed(message)

    def _event(self, event: Mapping[str, Any], clock: LocalClock) -> Answer:
        told = {
            **clock.local_span(event),
            "counts_as": "not_known" if event["reason"] == "unreadable" else event["type"],
            "blocks": event["blocks"],
            "reason": event["reason"],
            "rule": event["rule"],
        }
        if self._details:
            told |= {
                "untrusted_calendar": written_by_others(event["calendar"]),
                "untrusted_title": written_by_others(event["summary"]),
                "untrusted_place": written_by_others(event["location"]),
            }
        return told


def _verdict(found: Mapping[str, Any]) -> str:
    """What is known of the whole window: free, busy, or partly busy."""
    if not found["busy"]:
        return "free"
    spans = [(one["start"], one["end"]) for one in found["busy"]]
    reaches = found["start"]
    for start, end in spans:
        if start > reaches:
            return "partly_busy"
        reaches = end
    return "busy" if reaches >= found["end"] else "partly_busy"


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    never = "Time that is not listed as busy must not be called free."
    if found["stale"]:
        yield f"The calendars have not been confirmed recently: what changed since confirmed_at is not known. {never}"
    if not found["complete"] and not found["calendars"]:
        yield f"No calendar counts for this profile, so nothing is known of its time. {never}"
    elif not found["complete"]:
        yield f"A calendar was never read, or an event could not be understood. {never}"


def _given(**values: object) -> Answer:
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def _told(*, writes: bool = False) -> Iterator[None]:
    """Turn what fails into a text for the assistant."""
    try:
        yield
    except CommandFailed as error:
        raise ToolFailed(describe_failure(error, writes=writes)) from None
