"""A real browser for the tests of the page: Debian's Chromium, driven by Playwright; skipped where there is none."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.skips import skip

_PROGRAMS = ("chromium-headless-shell", "chromium")
_OPTIONS = ["--no-sandbox"]
"""Tests run as root in CI, where Chromium has no sandbox."""


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        try:
            yield browser
        finally:
            await browser.close()
