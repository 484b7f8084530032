"""The page of a served backend in a tab of a real browser, with notes of what must not happen."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from busyd.period import FbType
from tests.browser import open_browser
from tests.http.conftest import Serve, Served, serving
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with the browser run on its event loop."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "open_tab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests: each opens tabs in a profile of its own."""
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """As for other tests, on the event loop of the browser."""
    async with serving(tmp_path) as start:
        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def served(serve: Serve) -> Served:
    """Anna is busy on Tuesday at 10:00 to 11:00 and 13:00 to 15:00 in Berlin."""
    return await serve()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Browser) -> AsyncIterator[OpenTab]:
    """Opens the page of a served backend in a tab of its own; all are closed at the end."""
    contexts: list[BrowserContext] = []

    async def open_tab(served: Served, path: str = "/", *, width: int = 1280, **settings: Any) -> Tab:
        context = await browser.new_context(viewport={"width": width, "height": 844}, **settings)
        contexts.append(context)
        page = await context.new_page()
        tab = Tab(page, context, f"http://127.0.0.1:{served.port}")
        page.on("console", lambda said: tab.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: tab.faults.append(str(error)))
        page.on("request", lambda request: tab.asked.append(request.url))
        await page.clock.install()
        await tab.open(path)
        return tab

    yield open_tab
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def colourful(served: Served) -> Served:
    """Anna's week has all three kinds of time in it: Tuesday, 10:00 to 15:00 in Berlin."""
    kinds = (FbType.BUSY, FbType.BUSY_TENTATIVE, FbType.BUSY_UNAVAILABLE)
    await served.backend.set_busy("anna", [busy(21 + 2 * number, kind=kind) for number, kind in enumerate(kinds)])
    return served
