"""The page as a piece of work: for every pair of eyes, on every screen, small, and alone with busyd."""

import gzip
import hashlib
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from busyd.http.page_files import FOLDER, PARTS
from tests.http.conftest import Served
from tests.http.page.conftest import OpenTab, Tab

SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
MOST_BYTES = 60_000
KINDS = ("busy", "tentative", "unknown")


async def violations(tab: Tab) -> list[str]:
    """What axe-core finds fault with."""
    found = await Axe().run(tab.page)
    return [f"{one['id']}: {node['html'][:200]}" for one in found.response["violations"] for node in one["nodes"]]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
async def test_it_is_accessible(colourful: Served, open_tab: OpenTab, width: int, scheme: str) -> None:
    tab = await open_tab(colourful, width=width, color_scheme=scheme)
    await expect(tab.page.locator(".span")).to_have_count(3)
    assert await violations(tab) == []
    await tab.page.locator(".span").first.click()
    assert await violations(tab) == []
    assert not tab.faults


def luminance(colour: str) -> float:
    """WCAG 2.2, of `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_three_kinds_of_time_stand_out_from_free_time(
    colourful: Served, open_tab: OpenTab, scheme: str
) -> None:
    tab = await open_tab(colourful, color_scheme=scheme)
    colours = await tab.page.evaluate(
        """kinds => {
            const probe = document.body.appendChild(document.createElement("i"));
            return ["card", ...kinds, ...kinds.map(kind => `${kind}-ink`)].map(name => {
                probe.style.color = `var(--${name})`;
                return getComputedStyle(probe).color;
            });
        }""",
        KINDS,
    )
    ground, fills, inks = colours[0], colours[1:4], colours[4:]
    assert all(contrast(fill, ground) >= 3 for fill in fills)
    assert all(contrast(ink, fill) >= 4.5 for ink, fill in zip(inks, fills, strict=True))
    assert len(set(fills)) == 3


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_nothing_is_cut_off_and_all_text_is_of_readable_size(
    colourful: Served, open_tab: OpenTab, width: int
) -> None:
    tab = await open_tab(colourful, width=width)
    await expect(tab.page.locator(".span")).to_have_count(3)
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
    smallest = await tab.page.evaluate(
        """Math.min(...[...document.querySelectorAll("body *")]
            .filter(one => one.checkVisibility())
            .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
            .map(one => parseFloat(getComputedStyle(one).fontSize)))"""
    )
    assert smallest >= 12


async def test_it_asks_nobody_but_busyd_and_is_small(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served)
    await tab.sees("#state", "Up to date")
    assert all(address.startswith(tab.base) for address in tab.asked)
    files = sorted({name.removeprefix(tab.base) for name in tab.asked if "/page/" in name})
    assert {*files, "/page/login.js"} == {f"/page/{name}" for name in PARTS}
    answers = [await served.ask(path, Accept_Encoding="gzip") for path in ("/", "/login", "/page/login.js", *files)]
    assert sum(len(answer.body) for answer in answers) <= MOST_BYTES
    assert all(gzip.decompress(answer.body) for answer in answers)


async def test_it_is_in_one_language(served: Served, open_tab: OpenTab) -> None:
    tab = await open_tab(served, locale="fr-FR")
    await tab.sees(".ec-header", "Mon 23 Nov")
    assert await tab.page.evaluate("document.documentElement.lang") == "en"


def test_the_calendar_is_the_one_that_was_looked_at() -> None:
    vendor = FOLDER / "vendor"
    listed = dict(re.findall(r"`(\S+)` \| `([0-9a-f]{64})`", (vendor / "README.md").read_text()))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.glob("*.*s")}
    assert found == listed


def test_no_script_of_ours_makes_html_of_text() -> None:
    for path in (*FOLDER.glob("*.js"), *FOLDER.glob("*.html")):
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert "://" not in text, path
        assert not re.search(r"<script(?! src)|<style|\son[a-z]+=|\sstyle=", text), path


def test_every_file_is_part_of_what_is_sent_and_no_name_is_defined_twice() -> None:
    parts = [part for parts in PARTS.values() for part in parts]
    assert sorted(parts) == sorted(
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".js", ".css")
    )
    text = "".join((FOLDER / part).read_text() for part in PARTS["page.js"])
    names = re.findall(r"^(?:async function|function|const|let|class) (\w+)", text, re.MULTILINE)
    assert len(names) > 80
    assert len(names) == len(set(names))
