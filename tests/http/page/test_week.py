"""The week: every span at its time of day where the person lives, and explained on click or key."""

from playwright.async_api import expect

from tests.http.conftest import Served
from tests.http.page.conftest import OpenTab
from tests.http.small_backend import busy


async def test_spans_are_at_their_times_in_the_zone_of_the_profile(colourful: Served, open_tab: OpenTab) -> None:
    for elsewhere in ("America/Los_Angeles", "Asia/Kathmandu"):
        tab = await open_tab(colourful, timezone_id=elsewhere, locale="de-DE")
        spans = tab.page.locator(".span")
        await expect(spans).to_have_count(3)
        assert [await span.get_attribute("aria-label") for span in await spans.all()] == [
            "Busy: Tue 24 Nov, 10:00 to 11:00",
            "Tentative: Tue 24 Nov, 12:00 to 13:00",
            "Not known, so not free: Tue 24 Nov, 14:00 to 15:00",
        ]
        await tab.sees(".ec-header", "Mon 23 Nov")
        await tab.sees("#zone", "Times in Europe/Berlin")
        assert not tab.faults


async def test_one_can_go_to_other_weeks_and_back(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.page.click("#after")
    await tab.sees(".ec-header", "Mon 30 Nov")
    await expect(tab.page.locator(".span")).to_have_count(0)
    await tab.page.click("#before")
    await tab.page.click("#before")
    await tab.sees(".ec-header", "Mon 16 Nov")
    await tab.page.click("#today")
    await expect(tab.page.locator(".span")).to_have_count(2)
    await expect(tab.page.locator("#today")).to_be_disabled()


async def test_a_new_appointment_shows_up_by_itself(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await expect(tab.page.locator(".span")).to_have_count(2)
    await served.backend.set_busy("anna", [])
    await tab.page.clock.run_for(13_000)
    await expect(tab.page.locator(".span")).to_have_count(0)


async def test_a_span_is_explained_on_a_key_and_the_focus_comes_back(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    span = tab.page.locator(".span").first
    await span.focus()
    await tab.page.keyboard.press("Enter")
    await tab.sees("#dialog-title", "Busy: Tue 24 Nov, 10:00 to 11:00")
    await tab.sees("#dialog-body", "scope details")
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.locator("#dialog")).to_be_hidden()
    await expect(span).to_be_focused()


async def test_the_week_is_there_where_titles_are_not(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served, "/login")
    await tab.page.route("**/explain*", lambda route: route.abort())
    await tab.page.fill("#token", served.backend.token("anna", "freebusy", "details"))
    await tab.page.click("button")
    await expect(tab.page.locator(".span")).to_have_count(2)
    await tab.page.locator(".span").first.click()
    await tab.sees("#dialog-body", "There was no answer")


async def test_the_night_with_an_hour_twice_is_shown(served: Served, open_tab: OpenTab) -> None:
    """Clocks in Berlin were put back on 25 October 2026, at 01:00 UTC: this span goes from 02:30 to 02:15."""
    await served.backend.set_busy("anna", [busy(-(29 * 24 + 11) - 0.5, 0.75)])
    tab = await open_tab(served)
    for _ in range(5):
        await tab.page.click("#before")
    await expect(tab.page.get_by_label("Busy: Sun 25 Oct, 02:30 to 02:15")).to_be_visible()
