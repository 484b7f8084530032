"""What others may see changes in one place, and whoever waits for it is woken."""

import asyncio

from busyd.availability.profile import Profile
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.state.state import State

ANNA = Connection("anna", ConnectionKind.CALDAV, "https://caldav.example/")


def state() -> State:
    return State([ANNA], [], machine_zone="UTC")


async def test_everybody_who_waits_for_a_change_is_woken_by_it() -> None:
    shown = state()
    before = shown.revision
    waiting = [asyncio.create_task(shown.changed_since(before)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    shown.publish()
    assert await asyncio.gather(*waiting) == [before + 1] * 3


async def test_a_change_that_was_missed_is_told_at_once() -> None:
    shown = state()
    before = shown.revision
    shown.publish()
    shown.publish()
    assert await shown.changed_since(before) == before + 2


async def test_a_change_wakes_nobody_twice() -> None:
    shown = state()
    shown.publish()
    waiting = asyncio.create_task(shown.changed_since(shown.revision))
    await asyncio.sleep(0)
    assert not waiting.done()
    shown.publish()
    await waiting


async def test_another_configuration_and_a_proof_are_changes_others_may_see() -> None:
    shown = state()
    seen = [shown.revision]
    await shown.reconfigure([ANNA], [])
    seen.append(shown.revision)
    shown.confirm([], monotonic=0.0)
    seen.append(shown.revision)
    assert seen == sorted(set(seen))


async def test_what_is_due_of_one_profile_is_found_without_a_look_at_the_connections_of_others() -> None:
    profiles = [Profile(name, conflicts=(CalendarReference(name, "*"),)) for name in ("anna", "ben")]
    ben = Connection("ben", ConnectionKind.CALDAV, "https://caldav.example/")
    shown = State([ANNA, ben], profiles, machine_zone="UTC")
    for name in ("anna", "ben"):
        shown.due_snapshots()
        shown.due.discard(name)
    for connection_state in shown.connections.values():
        connection_state.addresses = ("mailto:me@example.org",)
    assert [*shown.due_snapshots(["anna"])] == ["anna"]
    assert sorted(shown.due_snapshots()) == ["anna", "ben"]
