"""`/`: a page for people. Its files come with the package, and it uses the API like any other client.

What the page shows is asked for by its JavaScript. Only the state of each profile is written into it here, for those
who go without.
"""

import hashlib
import html
import zlib
from pathlib import Path
from string import Template
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from busyd.flow.backend import Backend
from busyd.flow.views import ProfileHealth, ProfileView
from busyd.http.auth import Caller
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.response import Finished, headers_for
from busyd.period import to_rfc3339

FOLDER: Final = Path(__file__).parent / "page"
HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"
FILES: Final = {
    "style.css": _STYLE,
    "api.js": _SCRIPT,
    "explain.js": _SCRIPT,
    "page.js": _SCRIPT,
    "times.js": _SCRIPT,
    "trust.js": _SCRIPT,
    "week.js": _SCRIPT,
    "vendor/event-calendar.min.css": _STYLE,
    "vendor/event-calendar.min.js": _SCRIPT,
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
)
"""EventCalendar makes its elements from HTML of its own under the policy of that name; nothing else may."""
_WORDS: Final = {
    ProfileHealth.FRESH: "up to date",
    ProfileHealth.STALE: "out of date: something may have been added since",
    ProfileHealth.INCOMPLETE: "not everything is known: what is not counts as taken",
    ProfileHealth.LOADING: "the calendars are being read for the first time",
    ProfileHealth.UNCONFIGURED: "no calendar counts yet",
}


def page_headers(content_type: str) -> CIMultiDict[str]:
    """The headers of everything a browser shows."""
    return headers_for(
        content_type,
        Content_Security_Policy=POLICY,
        Cross_Origin_Opener_Policy="same-origin",
        X_Frame_Options="DENY",
        Referrer_Policy="same-origin",  # with `no-referrer`, browsers leave the origin out of what a form sends
    )


class PageHandler:
    """Serves the page, and its files, each read when it is first asked for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._template: Template | None = None
        self._read: dict[str, Finished] = {}

    async def get_page(self, call: Call) -> web.StreamResponse:
        """The page as this caller may see it."""
        if self._template is None:
            self._template = Template((FOLDER / "index.html").read_text(encoding="utf-8"))
        profiles = [view for view in await self._backend.profiles() if call.caller.sees(view.name)]
        text = self._template.substitute(
            now=to_rfc3339(self._backend.clock.now()),
            scopes=" ".join(sorted(_scopes(call.caller))),
            session="",
            status=_status(profiles),
        )
        return await Finished(text.encode(), page_headers(HTML)).response(call.head)

    async def get_file(self, call: Call) -> web.StreamResponse:
        """One of the files that make the page. Raises HttpProblem."""
        name = call.values["file"]
        known = self._read.get(name)
        if known is None:
            path = next((path for path in FILES if path.rpartition("/")[2] == name), None)
            if path is None:
                raise HttpProblem("not-found", 404, detail="the page has no such file", fix="GET / is the page")
            known = self._read[name] = _finished(path)
        return await known.response(call.head)


def _finished(path: str) -> Finished:
    body = (FOLDER / path).read_bytes()
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return Finished(body, page_headers(FILES[path]), etag, zipped=compressor.compress(body) + compressor.flush())


def _scopes(caller: Caller) -> frozenset[str]:
    if caller.token is not None:
        return caller.token.scopes
    return frozenset({"freebusy"}) if caller.here else frozenset()


def _status(profiles: list[ProfileView]) -> str:
    """The state of each profile as HTML."""
    if not profiles:
        return "<p>No profile is configured yet: run <code>busyd setup</code>.</p>"
    return "".join(map(_status_of, profiles))


def _status_of(view: ProfileView) -> str:
    as_of = view.freshness.as_of
    confirmed = "never confirmed" if as_of is None else f"confirmed {to_rfc3339(as_of)}"
    items = (f"<li>{html.escape(one.calendar)}: {one.state}</li>" for one in view.freshness.calendars)
    state = f"<p><strong>{_WORDS[view.state]}</strong>; {confirmed}</p>"
    return f"<h3>{html.escape(view.name)}</h3>{state}<ul>{''.join(items)}</ul>"
