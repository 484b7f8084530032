"""The page of a served backend in a tab of a real browser, with notes of what must not happen."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from busyd.period import FbType
from tests.browser import open_browser
from tests.http.conftest import Served
from tests.http.small_backend import busy


@dataclass
class Tab:
    """One tab with the page."""

    page: Page
    context: BrowserContext
    base: str
    faults: list[str] = field(default_factory=list)
    """What the browser complained of: errors of scripts, breaches of the policy."""
    asked: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.base + path)

    async def stop_clock(self) -> None:
        """From now on time passes in the page only when the test says so."""
        now = await self.page.evaluate("Date.now()")
        await self.page.clock.pause_at(datetime.fromtimestamp(now / 1000 + 0.1, UTC))

    async def sees(self, selector: str, text: str) -> None:
        """Wait until an element has this text somewhere."""
        await expect(self.page.locator(selector)).to_contain_text(text)


OpenTab = Callable[..., Awaitable[Tab]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def open_tab(browser: Browser) -> OpenTab:
    """Opens the page of a served backend in a tab of its own."""

    async def open_tab(served: Served, path: str = "/", *, width: int = 1280, **settings: Any) -> Tab:
        context = await browser.new_context(viewport={"width": width, "height": 844}, **settings)
        page = await context.new_page()
        tab = Tab(page, context, f"http://127.0.0.1:{served.port}")
        page.on("console", lambda said: tab.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: tab.faults.append(str(error)))
        page.on("request", lambda request: tab.asked.append(request.url))
        await page.clock.install()
        await tab.open(path)
        return tab

    return open_tab


@pytest.fixture
async def colourful(served: Served) -> Served:
    """Anna's week has all three kinds of time in it: Tuesday, 10:00 to 15:00 in Berlin."""
    kinds = (FbType.BUSY, FbType.BUSY_TENTATIVE, FbType.BUSY_UNAVAILABLE)
    await served.backend.set_busy("anna", [busy(21 + 2 * number, kind=kind) for number, kind in enumerate(kinds)])
    return served
