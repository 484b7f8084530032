"""What the page says of its own answers: how old they are, and that they are worth nothing once busyd is silent."""

import re

import pytest
from playwright.async_api import expect

from tests.http.conftest import Served
from tests.http.page.conftest import OpenTab

LONG = 5000
"""Milliseconds within which silence must be noticed."""


async def test_it_says_that_all_is_confirmed_and_how_long_ago(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#state", "Up to date")
    await tab.sees("#age", "confirmed 0 s ago")
    served.backend.clock.advance(60)
    await tab.page.clock.run_for(2500)
    await tab.sees("#age", "confirmed 60 s ago")
    assert not tab.faults


async def test_its_age_ticks_between_two_answers(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#age", "confirmed 0 s ago")
    await tab.stop_clock()
    await tab.page.route("**/v1/*", lambda _: None)  # no answer comes
    before = await tab.page.inner_text("#age")
    await tab.page.clock.run_for(2500)
    assert before in ("confirmed 0 s ago", "confirmed 1 s ago")
    await expect(tab.page.locator("#age")).to_have_text(re.compile("confirmed [234] s ago"))


async def test_what_is_too_old_is_told_so(served: Served, open_tab: OpenTab) -> None:
    served.backend.clock.advance(3600)
    tab = await open_tab(served)
    await tab.sees("#state", "Out of date")
    await tab.sees("#meaning", "not surely free")
    await tab.sees("#age", "confirmed 60 min ago")


async def test_a_calendar_never_read_is_told_so(served: Served, open_tab: OpenTab) -> None:
    served.backend.confirm("anna", None)
    tab = await open_tab(served)
    await tab.sees("#state", "Not everything is known")
    await tab.sees("#age", "never confirmed")


async def test_a_daemon_that_died_turns_the_page_red_within_five_seconds(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#state", "Up to date")
    await served.listeners.close(grace=0)
    await tab.page.clock.run_for(LONG)
    await tab.sees("#state", "busyd does not answer")
    await tab.sees("#meaning", "take no time for free")
    assert (await tab.page.title()).startswith("busyd does not answer")
    await expect(tab.page.locator("#trust")).to_have_attribute("data-state", "dead")
    assert "grayscale" in await tab.page.locator("#grid").evaluate("grid => getComputedStyle(grid).filter")


async def test_a_daemon_that_hangs_does_so_too(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#state", "Up to date")
    await tab.page.route("**/v1/*", lambda _: None)
    await tab.page.clock.run_for(LONG)
    await tab.sees("#state", "busyd does not answer")


async def test_it_recovers_when_the_daemon_answers_again(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.page.route("**/v1/*", lambda route: route.abort())
    await tab.page.clock.run_for(LONG)
    await tab.sees("#state", "busyd does not answer")
    await tab.page.unroute("**/v1/*")
    await tab.page.clock.run_for(LONG)
    await tab.sees("#state", "Up to date")


async def test_a_machine_that_slept_takes_nothing_from_before_for_current(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#state", "Up to date")
    await tab.page.route("**/v1/*", lambda _: None)
    await tab.page.clock.fast_forward(3_600_000)
    await tab.sees("#state", "busyd does not answer")


@pytest.mark.parametrize(("minutes", "word"), [(0, "up to date"), (60, "out of date")])
async def test_without_javascript_the_state_is_there_with_its_time(
    served: Served, open_tab: OpenTab, minutes: int, word: str
) -> None:
    served.backend.clock.advance(60 * minutes)
    tab = await open_tab(served, java_script_enabled=False)
    await tab.sees("main", word)
    await tab.sees("main", "confirmed 2026-11-23T12:00:00Z")
    await tab.sees("main", "anna/Work: ")
    await expect(tab.page.locator("#grid")).to_be_hidden()
