"""The page of a real daemon: opened by `busyd open`, and red once the process is gone or stands still."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.browser import open_browser
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.test_icloud import event


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


def opened(busyd: Busyd, *arguments: str) -> str:
    """What `busyd open` prints."""
    told = busyd.command("open", "--print", *arguments)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_page_is_red_within_five_seconds_after_the_daemon_fell_silent(
    busyd: Busyd, browser: Browser, how: signal.Signals
) -> None:
    busyd.start()
    page = await browser.new_page()
    await page.clock.install()
    await page.goto(opened(busyd))
    await expect(page.locator("#session")).to_contain_text("Log out")
    await expect(page.locator("#state")).to_contain_text("Up to date", timeout=30_000)
    assert busyd.process is not None
    busyd.process.send_signal(how)
    await page.clock.run_for(5000)
    await expect(page.locator("#state")).to_contain_text("busyd does not answer")
    busyd.process.send_signal(signal.SIGCONT)


async def test_a_slot_is_booked_and_the_appointment_cancelled(
    busyd: Busyd, icloud: SimulatedIcloud, browser: Browser
) -> None:
    busyd.change("conflicts: [anna/Work]", "primary: anna/Work")
    busyd.start()
    page = await browser.new_page()
    await page.goto(opened(busyd))
    await page.locator("button.chip").nth(3).click(timeout=30_000)
    await page.get_by_label("What for").fill("Intro call")
    await page.get_by_role("button", name="Book an appointment").click()
    await expect(page.locator("#own")).to_contain_text("Appointment: Intro call", timeout=30_000)
    work = icloud.account("anna@icloud.com").calendars["work"]
    await asyncio.to_thread(wait_for, work.objects)  # the time is kept before the event is written
    (written,) = work.objects().values()
    assert "SUMMARY:Intro call" in str(written)
    await expect(page.locator(".span").first).to_contain_text("Intro call")
    await page.get_by_role("button", name="Cancel: Appointment: Intro call").click()
    await page.locator("#dialog").get_by_role("button", name="Cancel").click()
    await expect(page.locator("#own")).to_have_text("", timeout=30_000)
    assert work.objects() == {}


async def test_a_login_survives_a_restart(busyd: Busyd, browser: Browser) -> None:
    busyd.start()
    page = await browser.new_page()
    await page.goto(opened(busyd))
    await expect(page.locator("#session")).to_contain_text("Log out")
    busyd.stop()
    busyd.start()
    await page.reload()
    await expect(page.locator("#session")).to_contain_text("Log out")


def test_the_address_is_the_one_that_was_asked_for(busyd: Busyd) -> None:
    busyd.start()
    assert opened(busyd).startswith(f"{busyd.base}/login#once_")
    assert opened(busyd, "--base", "https://busy.example.org/").startswith("https://busy.example.org/login#once_")


def test_without_a_daemon_it_says_how_to_start_it(busyd: Busyd) -> None:
    told = busyd.command("open", "--print")
    assert told.returncode == 69
    assert "busyd run" in told.stderr


async def test_an_edit_on_the_phone_shows_up_in_the_week_and_among_the_changes(
    busyd: Busyd, icloud: SimulatedIcloud, browser: Browser
) -> None:
    busyd.start()
    page = await browser.new_page()
    await page.goto(opened(busyd))
    await expect(page.locator("#state")).to_contain_text("Up to date", timeout=30_000)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%d}"
    work = icloud.account("anna@icloud.com").calendars["work"]
    work.put("a.ics", event("a", f"{tomorrow}T100000Z", end=f"{tomorrow}T110000Z"))
    await page.click("#sync")
    await expect(page.locator(".span")).to_have_count(1)
    await expect(page.locator("#changes")).to_contain_text("(anna/Work)")
    await page.locator(".span").click()
    await expect(page.locator("#dialog-body")).to_contain_text("anna/Work: takes up time")
