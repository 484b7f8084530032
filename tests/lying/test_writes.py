"""Servers that lie about what apps write: no time is free that is not, and no edit is lost without the app hearing."""

import logging
from pathlib import Path

import pytest

from busyd.flow.collections import Collections, CollectionView
from busyd.flow.writing import Conditions, NotWritten, ObjectWriter
from busyd.store.members import MirroredMember
from tests.lying.harness import World
from tests.lying.server import TWO_POLLS
from tests.lying.writes import WRITTEN, DropsPuts, DropsPutsWithoutEtag, ReadsLag, Writable

NAME = "b.ics"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class App:
    """Writes to the one calendar there is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._writer = ObjectWriter(world.writer, lambda: {"anna": world.schedule})

    async def _calendar(self) -> CollectionView:
        return next(one for one in await Collections(self._world.writer).of("anna") if one.made is None)

    async def put(self, text: str, *, name: str = NAME) -> str:
        """The tag that the app is told; none when it was not written as it was sent."""
        calendar = await self._calendar()
        try:
            written = await self._writer.put(calendar, name, payload=text.encode(), conditions=Conditions())
        except NotWritten:
            return ""
        return written.tag if written.is_verbatim else ""

    async def delete(self) -> None:
        try:
            await self._writer.delete(await self._calendar(), NAME, conditions=Conditions())
        except NotWritten:
            return

    async def seen(self) -> MirroredMember | None:
        return await self._world.store.read_member((await self._calendar()).calendar, NAME)


@pytest.mark.parametrize("settle", [0, 45])
@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
async def test_a_moved_event_is_where_its_server_has_it(kind: type[Writable], settle: int, tmp_path: Path) -> None:
    async with World.start(tmp_path, kind) as world:
        await world.read_all()
        await world.run(settle)
        world.server.start_lying()
        app, text = App(world), world.server.event("B", 12)
        tag = await app.put(text)
        await world.run(100)
        assert world.falsely_free <= TWO_POLLS, world.history()
        seen, there = await app.seen(), world.server.work.members[NAME].text
        assert seen is not None
        assert seen.payload.decode() == there, world.history()
        assert there == text or seen.tag != tag


@pytest.mark.parametrize("kind", [DropsPuts, DropsPutsWithoutEtag])
async def test_a_new_event_that_its_server_has_dropped_is_not_said_to_be_written(
    kind: type[Writable], tmp_path: Path
) -> None:
    async with World.start(tmp_path, kind) as world:
        await world.read_all()
        world.server.start_lying()
        app, text = App(world), world.server.event("NEW", 12)
        assert await app.put(text, name="new.ics") == ""
        world.server.lies = False
        assert await app.put(text, name="new.ics") != ""
        assert world.server.work.members["new.ics"].text == text


async def test_who_is_asked_to_wait_because_reads_lag_is_told_so_and_then_that_it_is_done(tmp_path: Path) -> None:
    async with World.start(tmp_path, ReadsLag) as world:
        await world.read_all()
        await world.run(30)
        world.server.start_lying()
        app, text = App(world), world.server.event("B", 12)
        assert await app.put(text) == ""
        await world.run(60)
        assert await app.put(text) != ""
        assert world.server.work.members[NAME].text == text


@pytest.mark.parametrize("settle", [0, 45])
@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
async def test_a_removed_event_is_back_where_its_server_has_it(
    kind: type[Writable], settle: int, tmp_path: Path
) -> None:
    async with World.start(tmp_path, kind) as world:
        await world.read_all()
        await world.run(settle)
        world.server.start_lying()
        app = App(world)
        await app.delete()
        await world.run(100)
        assert world.falsely_free <= TWO_POLLS, world.history()
        seen, there = await app.seen(), world.server.work.members.get(NAME)
        assert (seen is not None and bool(seen.tag)) == (there is not None), world.history()


async def test_a_booking_that_an_app_removes_and_a_phone_brings_back_at_once_is_busy(tmp_path: Path) -> None:
    async with World.start(tmp_path, Writable) as world:
        await world.read_all()
        await world.run(45)
        (record,) = world.state.calendars_of("anna")
        before = world.server.work.members[NAME]
        world.schedule.context.note_write(record.id, f"{record.remote.href}{NAME}", etag=before.etag)
        await App(world).delete()
        world.server.work.put(NAME, before.text, etag=before.etag)
        await world.run(60)
        assert world.falsely_free == 0, world.history()
