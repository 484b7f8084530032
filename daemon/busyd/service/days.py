"""What follows from the passing of days: the horizon moves on, and time-zone data may be newer."""

import asyncio
import logging
from importlib import import_module
from typing import Final

from busyd.flow.backend import Backend
from busyd.ical.zones import forget_outdated_zones
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.store.errors import StorageError

logger = logging.getLogger(__name__)

LOOK_AT_ZONES_EVERY: Final = 3600.0
ROLL_EVERY: Final = 60.0
"""Seconds between two looks whether a day has passed."""


async def follow_days(writer: IndexWriter, backend: Backend, *, restore: Restore) -> None:
    """Follow the days, and newer time-zone data. Ends only by being cancelled."""
    clock = writer.clock
    looked = clock.monotonic()
    while True:
        await clock.sleep(ROLL_EVERY)
        # Not at the start, when answers would wait for the engine, nor on the loop.
        rolling = await asyncio.to_thread(import_module, "busyd.index.rolling")
        try:
            if await rolling.roll_horizon(writer, clock.now()):
                logger.info("a new day: the horizon moved on")
                await backend.requests.forget_keys(clock.now())
            await backend.accepted_problems.forget_ended()
            if clock.monotonic() - looked >= LOOK_AT_ZONES_EVERY:
                looked = clock.monotonic()
                if forget_outdated_zones():
                    await writer.close()
                    await restore.load_tables()
        except StorageError as error:
            logger.error("the horizon could not be moved on, trying again: %s", error)
