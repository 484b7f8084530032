"""`/`: a page for people. Its files come with the package, and it uses the API like any other client.

What the page shows is asked for by its JavaScript. Only the state of each profile is written into it here, for those
who go without.
"""

import html
from string import Template
from typing import Final, cast

from busyd.credentials.tokens import Token, is_local
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileHealth, ProfileView
from busyd.http import web
from busyd.http.auth import Caller
from busyd.http.call import Call
from busyd.http.connections import ClientConnection
from busyd.http.login import login_form
from busyd.http.page_files import FOLDER, HTML, PageFiles, page_headers
from busyd.http.problem import HttpProblem
from busyd.http.response import Finished
from busyd.period import to_rfc3339

_WORDS: Final = {
    ProfileHealth.FRESH: "up to date",
    ProfileHealth.STALE: "out of date: something may have been added since",
    ProfileHealth.INCOMPLETE: "not everything is known: what is not counts as taken",
    ProfileHealth.LOADING: "the calendars are being read for the first time",
    ProfileHealth.UNCONFIGURED: "no calendar counts yet",
}
_LOG_IN: Final = '<a class="button" href="/login">Log in</a>'
_LOG_OUT: Final = (
    '<form method="post" action="/logout"><span class="quiet">{name}</span> <button>Log out</button></form>'
)


class PageHandler:
    """Serves the page and its files."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._files = PageFiles()

    async def get_page(self, call: Call) -> web.StreamResponse:
        """The page as this caller may see it; the login for whoever may see nothing."""
        caller = call.caller
        if caller.token is None and not caller.here:
            return await login_form(call.head)
        template = Template((FOLDER / "index.html").read_text(encoding="utf-8"))
        profiles = [view for view in await self._backend.profiles() if caller.sees(view.name)]
        text = template.substitute(
            now=to_rfc3339(self._backend.clock.now()),
            scopes=" ".join(sorted(caller.token.scopes)) if caller.token is not None else "freebusy",
            session=_session(caller),
            address=html.escape(_public_url(call)),
            status="".join(map(_status_of, profiles)) or _NO_PROFILE,
        )
        response = await Finished(text.encode(), page_headers(HTML)).response(call.head)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def get_file(self, call: Call) -> web.StreamResponse:
        """One of the files that make the page. Raises HttpProblem."""
        file = self._files.find(call.values["file"])
        if file is None:
            raise HttpProblem("not-found", 404, detail="the page has no such file", fix="GET / is the page")
        return await file.response(call.head)


_NO_PROFILE: Final = "<p>No profile is configured yet: run <code>busyd setup</code>.</p>"


def _session(caller: Caller) -> str:
    """Who is logged in, as HTML."""
    return _LOG_IN if caller.token is None else _LOG_OUT.format(name=html.escape(_name_of(caller.token)))


def _name_of(token: Token) -> str:
    return "Logged in by busyd open" if is_local(token.name) else token.name or token.id


def _public_url(call: Call) -> str:
    return cast(ClientConnection, call.request.protocol).listener.settings.public_url


def _status_of(view: ProfileView) -> str:
    """The state of a profile as HTML."""
    as_of = view.freshness.as_of
    confirmed = "never confirmed" if as_of is None else f"confirmed {to_rfc3339(as_of)}"
    items = (f"<li>{html.escape(one.calendar)}: {one.state}</li>" for one in view.freshness.calendars)
    state = f"<p><strong>{_WORDS[view.state]}</strong>; {confirmed}</p>"
    return f"<h3>{html.escape(view.name)}</h3>{state}<ul>{''.join(items)}</ul>"
