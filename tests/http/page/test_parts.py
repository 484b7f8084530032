"""The parts of the page below the week: free slots, what busyd keeps, calendars, addresses and tokens, changes."""

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from busyd.store.webhooks import WebhookProgress
from tests.http.conftest import Served
from tests.http.page.conftest import OpenTab, Tab
from tests.http.page.test_craft import violations
from tests.http.small_backend import NOW, busy

ALL = ("freebusy", "details", "book", "admin")


async def logged_in(served: Served, open_tab: OpenTab, *scopes: str, profile: str = "anna", width: int = 1280) -> Tab:
    tab = await open_tab(served, "/login", width=width)
    await tab.page.fill("#token", served.backend.token(profile, *scopes))
    await tab.page.click("button")
    await tab.sees("#state", "Up to date")
    return tab


async def test_free_slots_are_offered_by_day_in_the_zone_of_the_profile(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#slots .day >> nth=0", "Mon 23 Nov")
    await tab.sees("#slots .day >> nth=0", "15:00")
    async with tab.page.expect_response(lambda answer: "duration=2h" in answer.url) as answer:
        await tab.page.select_option("#length", "2h")
    assert (await answer.value).status == 200


async def test_no_slot_is_offered_from_old_data_or_by_a_dead_daemon(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#slots .day >> nth=0", "15:00")
    await tab.sees("#now", "Free now, until Tue 24 Nov, 10:00")
    served.backend.clock.advance(3600)
    await tab.page.clock.run_for(2500)
    await tab.sees("#slots", "GET /v1/status")
    await expect(tab.page.locator("#slots .chip")).to_have_count(0)
    await expect(tab.page.locator("#now")).to_have_text("")
    served.backend.confirm("anna", served.backend.clock.now())
    await tab.page.clock.run_for(2500)
    await expect(tab.page.locator("#slots .chip").first).to_be_visible()
    await served.listeners.close(grace=0)
    await tab.page.clock.run_for(5000)
    await tab.sees("#slots", "Nothing is offered")
    await expect(tab.page.locator("#now")).to_have_text("")


async def test_it_says_what_one_is_doing_now(served: Served, open_tab: OpenTab) -> None:
    await served.backend.set_busy("anna", [busy(-1, 3)])
    tab = await open_tab(served)
    await tab.sees("#now", "Busy now, until 15:00")


async def test_nothing_is_called_free_where_something_is_not_understood(served: Served, open_tab: OpenTab) -> None:
    await served.backend.set_busy("anna", [busy(21)], incomplete="FREQ=SOMETIMES is no rule")
    tab = await open_tab(served)
    await tab.sees("#state", "Not everything is known")
    await expect(tab.page.locator("#now")).not_to_contain_text("Free")
    await tab.sees("#gaps", "not surely free")
    await expect(tab.page.locator("#slots .chip")).to_have_count(0)


async def test_time_is_marked_as_busy_from_a_slot_and_given_back(served: Served, open_tab: OpenTab) -> None:
    tab = await logged_in(served, open_tab, *ALL)
    await tab.page.locator(".day").nth(1).get_by_role("button", name="more").click()
    await tab.page.get_by_role("button", name="Tue 24 Nov, 11:00 to 11:30").click()
    assert await violations(tab) == []
    await tab.page.get_by_label("What for").fill("Lunch")
    await tab.page.get_by_role("button", name="Mark as busy", exact=True).click()
    await tab.sees("#own", "Block: Lunch")
    await tab.sees("#own", "Tue 24 Nov, 11:00 to 11:30")
    await expect(tab.page.get_by_label("Busy: Tue 24 Nov, 10:00 to 11:30")).to_be_visible()
    await tab.page.get_by_role("button", name="Remove: Block: Lunch").click()
    assert await violations(tab) == []
    await tab.page.locator("#dialog").get_by_role("button", name="Remove").click()
    await expect(tab.page.locator("#own")).to_have_text("")
    await expect(tab.page.get_by_label("Busy: Tue 24 Nov, 10:00 to 11:00")).to_be_visible()
    assert not tab.faults


async def test_a_refused_action_says_why_and_keeps_what_was_entered(served: Served, open_tab: OpenTab) -> None:
    tab = await logged_in(served, open_tab, *ALL)
    await tab.page.click("#block")
    await tab.page.get_by_label("Until").fill("2020-01-01T00:00")
    await tab.page.get_by_role("button", name="Mark as busy", exact=True).click()
    await tab.sees("[role=alert]", "must be before")
    assert await tab.page.get_by_label("Until").input_value() == "2020-01-01T00:00"
    await tab.page.get_by_label("Until").fill("2026-11-30T12:00")
    await tab.page.get_by_role("button", name="Mark as busy", exact=True).click()
    await tab.sees("#own", "Block")


async def test_who_may_not_change_anything_is_offered_nothing_to_change(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#slots .day >> nth=0", "15:00")
    for button in ("#block", "#sync", "#token"):
        await expect(tab.page.locator(button)).to_be_hidden()
    await expect(tab.page.locator("button.chip:not(.quiet)")).to_have_count(0)
    await tab.sees("#calendars", "anna/Work")
    await tab.sees("#changes", "Log in")


async def test_each_calendar_says_how_it_counts_and_what_is_wrong(served: Served, open_tab: OpenTab) -> None:
    state = served.backend.state
    connection = state.connections["anna"]
    connection.trouble = "the login was refused: make a new app-specific password"
    state.publish()
    tab = await logged_in(served, open_tab, *ALL)
    await tab.sees("#calendars", "busy; written to (primary)")
    await tab.sees("#calendars .trouble >> nth=0", "make a new app-specific password")
    link = state.profiles["anna"].links[0]
    state.profiles["anna"].links = (replace(link, rules=replace(link.rules, all_day="free")),)
    await tab.page.clock.run_for(13_000)
    await tab.sees("#calendars", "all_day: free")


async def test_a_webhook_that_fails_is_named_with_what_to_do(served: Served, open_tab: OpenTab) -> None:
    failing = WebhookProgress(0, failing_since=NOW, attempts=3, detail="receiver.example answered 500")
    await served.backend.add_webhook("hook", progress=failing)
    tab = await logged_in(served, open_tab, *ALL)
    await tab.sees("#calendars", "receiver.example answered 500")
    await tab.sees("#calendars", "busyd webhook test hook")
    await expect(tab.page.locator("#calendars")).not_to_contain_text("secret/path")
    assert await violations(tab) == []


async def test_a_token_is_made_shown_once_and_revoked(served: Served, open_tab: OpenTab) -> None:
    tab = await logged_in(served, open_tab, *ALL, profile="*")
    await tab.page.click("#token")
    assert await violations(tab) == []
    await tab.page.get_by_label("What it is for").fill("my phone")
    await tab.page.get_by_label("details: titles and places").check()
    await tab.page.get_by_role("button", name="Make the token").click()
    await tab.sees("#dialog-title", "Shown only now")
    feed = await tab.page.locator("#dialog code").nth(1).inner_text()
    assert (await served.ask(feed.removeprefix(tab.base))).status == 200
    token = await tab.page.locator("#dialog code").nth(0).inner_text()
    assert (await served.ask("/v1/profiles/anna/explain", token=token)).status == 200
    await tab.page.click("#close")
    await tab.sees("#access", "my phone")
    await tab.page.get_by_role("button", name="Revoke my phone").click()
    await tab.page.locator("#dialog").get_by_role("button", name="Revoke").click()
    await expect(tab.page.locator("#access")).not_to_contain_text("my phone")
    assert (await served.ask(feed.removeprefix(tab.base))).status == 404


async def test_addresses_are_those_by_which_others_reach_busyd(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#access", f"{tab.base}/dav/anna/")
    await tab.sees("#access", "works on this machine only")


@pytest.mark.parametrize("width", [1280, 390])
async def test_all_of_it_is_accessible_and_nothing_is_cut_off(served: Served, open_tab: OpenTab, width: int) -> None:
    tab = await logged_in(served, open_tab, *ALL, profile="*", width=width)
    await tab.page.get_by_label("Profile", exact=True).select_option("bob")
    await tab.sees("#week-title", "bob")
    await tab.page.reload()
    await tab.sees("#week-title", "bob, Mon 23 Nov to Sun 29 Nov")
    await tab.sees("#calendars", "bob")
    assert await violations(tab) == []
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert not tab.faults


async def test_calendars_are_checked_on_demand(served: Served, open_tab: OpenTab) -> None:
    tab = await logged_in(served, open_tab, *ALL)
    async with tab.page.expect_response("**/v1/sync") as response:
        await tab.page.click("#sync")
    assert (await response.value).status == 200
    await expect(tab.page.locator("#sync")).to_be_enabled()
