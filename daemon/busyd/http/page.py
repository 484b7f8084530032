"""`/`: a page for people, made of three files that come with the package. It uses the API like any other client."""

from pathlib import Path
from typing import Final

from aiohttp import web

from busyd.http.call import Call
from busyd.http.response import Finished, headers_for

FOLDER: Final = Path(__file__).parent / "page"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageHandler:
    """Serves the files, each read when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, Finished] = {}

    async def get_html(self, call: Call) -> web.StreamResponse:
        return await self._file("index.html", "text/html; charset=utf-8").response(call.head)

    async def get_css(self, call: Call) -> web.StreamResponse:
        return await self._file("style.css", "text/css; charset=utf-8").response(call.head)

    async def get_js(self, call: Call) -> web.StreamResponse:
        return await self._file("page.js", "text/javascript; charset=utf-8").response(call.head)

    def _file(self, name: str, content_type: str) -> Finished:
        known = self._read.get(name)
        if known is None:
            body = (FOLDER / name).read_bytes()
            headers = headers_for(
                content_type, Content_Security_Policy=POLICY, X_Frame_Options="DENY", Referrer_Policy="no-referrer"
            )
            known = self._read[name] = Finished(body, headers)
        return known
