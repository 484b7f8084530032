"""The files of the web page: what they are, and under which policy a browser shows them."""

import hashlib
import zlib
from pathlib import Path
from typing import Final

from multidict import CIMultiDict

from busyd.http.response import Finished, headers_for

FOLDER: Final = Path(__file__).parent / "page"
HTML: Final = "text/html; charset=utf-8"
_KINDS: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
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
        if known is None:
            path = next((path for path in FOLDER.rglob("*") if path.name == name and path.suffix in _KINDS), None)
            if path is not None:
                known = self._read[name] = _finished(path)
        return known


def _finished(path: Path) -> Finished:
    body = path.read_bytes()
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return Finished(
        body, page_headers(_KINDS[path.suffix]), etag, zipped=compressor.compress(body) + compressor.flush()
    )
