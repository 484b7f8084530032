"""Logging in and out in a browser, where cookies, forms and origins are real."""

from typing import Any

from playwright.async_api import expect

from busyd.flow.explain import Explained
from busyd.period import FbType, Instant
from tests.http.conftest import Serve, Served
from tests.http.page.conftest import OpenTab
from tests.http.page.test_craft import violations
from tests.http.small_backend import NOW, busy

BEHIND_PROXY: dict[str, Any] = {"behind_proxy": True, "hosts": ("busy.example",)}


async def test_behind_a_proxy_the_page_asks_for_a_token_first(serve: Serve, open_tab: OpenTab) -> None:
    served = await serve(**BEHIND_PROXY)
    tab = await open_tab(served)
    await expect(tab.page.locator("form")).to_be_visible()
    assert await violations(tab) == []
    await tab.page.fill("#token", served.backend.token("anna"))
    await tab.page.keyboard.press("Enter")
    await tab.sees("#state", "Up to date")
    assert tab.page.url == f"{tab.base}/"
    await tab.page.reload()
    await tab.sees("#state", "Up to date")
    assert await tab.page.evaluate("document.cookie") == ""
    await tab.page.click("text=Log out")
    await expect(tab.page.locator("#token")).to_be_visible()


async def test_a_refused_login_says_so_and_what_to_do(serve: Serve, open_tab: OpenTab) -> None:
    tab = await open_tab(await serve(**BEHIND_PROXY))
    await tab.page.fill("#token", "bd_0_wrong")
    await tab.page.click("button")
    await tab.sees("[role=alert]", "busyd token list")
    assert await violations(tab) == []


async def test_a_one_time_login_logs_in_and_leaves_no_trace_in_the_address(served: Served, open_tab: OpenTab) -> None:
    admin = served.backend.token("*", "admin", "freebusy", "details")
    path = (await served.ask("/v1/logins", method="POST", token=admin)).json["path"]
    tab = await open_tab(served, path)
    await tab.sees("#session", "Log out")
    assert tab.page.url == f"{tab.base}/"
    assert not any("once_" in address for address in tab.asked)
    second = await open_tab(served, path)
    await second.sees("[role=alert]", "busyd open")


async def test_a_revoked_token_logs_the_page_out(served: Served, open_tab: OpenTab) -> None:
    token = served.backend.token("anna")
    tab = await open_tab(served, "/login")
    await tab.page.fill("#token", token)
    await tab.page.click("button")
    await tab.sees("#state", "Up to date")
    served.backend.command_line.revoke_token(token.split("_")[1])
    await tab.page.clock.run_for(2500)
    await tab.sees("#state", "You are no longer logged in")
    await expect(tab.page.locator("#grid")).to_have_css("opacity", "0.55")


async def test_with_details_a_span_says_what_is_there_and_why(served: Served, open_tab: OpenTab) -> None:
    start, end, _ = busy(21)
    common: dict[str, Any] = {"calendar": "anna/Work", "uid": "1", "href": "/1.ics", "origin": "", "location": ""}
    served.backend.explained = [
        Explained(
            **common,
            summary="<b>Dentist</b>",
            start=Instant(start),
            end=Instant(end),
            fbtype=FbType.BUSY,
            reason="opaque",
            rule="",
            notes=("its time zone is not known",),
        ),
        Explained(
            **common,
            summary="Maybe",
            start=Instant(start),
            end=Instant(end),
            fbtype=FbType.FREE,
            reason="declined",
            rule="declined",
        ),
    ]
    assert start > NOW
    tab = await open_tab(served, "/login")
    await tab.page.fill("#token", served.backend.token("anna", "freebusy", "details"))
    await tab.page.click("button")
    await tab.sees(".span >> nth=0", "<b>Dentist</b>")
    await tab.page.locator(".span").first.click()
    for text in ("<b>Dentist</b>", "Tue 24 Nov, 10:00 to 11:00", "anna/Work: takes up time", "time zone is not known"):
        await tab.sees("#dialog-body", text)
    await tab.sees("#dialog-body", "does not count")
    await tab.sees("#dialog-body", "invitation declined (rule declined, default)")
    assert not tab.faults
