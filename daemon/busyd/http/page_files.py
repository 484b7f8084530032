"""The files of the web page: what they are made of, and under which policy a browser shows them.

The scripts share one scope and are sent as one file, without comments and indentation: that is a third of their size.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from multidict import CIMultiDict

from busyd.http.response import Finished, headers_for

FOLDER: Final = Path(__file__).parent / "page"
HTML: Final = "text/html; charset=utf-8"
_KINDS: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_SCRIPTS: Final = ("api", "times", "trust", "week", "explain", "slots", "calendars", "access", "changes", "page")
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "calendar.js": ("vendor/event-calendar.min.js",),
    "login.js": ("login.js",),
    "page.js": tuple(f"{name}.js" for name in _SCRIPTS),
    "style.css": ("vendor/event-calendar.min.css", "style.css"),
}
"""Each file as it is asked for, and what it is made of, in this order."""
_NOT_NEEDED: Final = re.compile(r"^[ \t]*(//.*)?\n|^[ \t]+", re.MULTILINE)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
)
"""EventCalendar makes its elements from HTML of its own under the policy of that name; nothing else may."""


def page_headers(content_type: str) -> CIMultiDict[str]:
    """The headers of everything a browser shows."""
    return headers_for(
        content_type,
        Content_Security_Policy=POLICY,
        Cross_Origin_Opener_Policy="same-origin",
        X_Frame_Options="DENY",
        Referrer_Policy="same-origin",  # with `no-referrer`, browsers leave the origin out of what a form sends
    )


class PageFiles:
    """The style sheets and scripts, each read when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, Finished] = {}

    def find(self, name: str) -> Finished | None:
        """A file by its name; None when the page has no such file."""
        known = self._read.get(name)
        if known is None and name in PARTS:
            known = self._read[name] = _finished(name)
        return known


def _finished(name: str) -> Finished:
    text = "\n".join(map(_read, PARTS[name]))
    kind = name.rpartition(".")[2]
    # In a block of its own, and strict: nothing of ours becomes a property of the window.
    body = (f"(() => {{\n'use strict';\n{text}}})();\n" if name == "page.js" else text).encode()
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return Finished(body, page_headers(_KINDS[kind]), etag, zipped=compressor.compress(body) + compressor.flush())


def _read(part: str) -> str:
    text = (FOLDER / part).read_text(encoding="utf-8")
    return text if part.startswith("vendor/") else _NOT_NEEDED.sub("", text)
