"""`/login` and `/logout` of the web page, and one-time logins for those who hold a token.

The browser keeps a session (`credentials/sessions.py`) in a cookie that no script can read and that no page of another
site can make it send. Nobody stays logged in by it longer than the token is valid.
"""

import hmac
import secrets
from string import Template
from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct

from busyd.clock import Clock
from busyd.credentials.sessions import SESSION_SECONDS, open_session
from busyd.credentials.tokens import Token
from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.auth import Authenticator
from busyd.http.bodies import Time
from busyd.http.call import Call
from busyd.http.page_files import FOLDER, HTML, page_headers
from busyd.http.problem import HttpProblem, cross_site
from busyd.http.request_body import read_any_body, read_nothing
from busyd.http.request_headers import SESSION_COOKIE, RequestHeaders
from busyd.http.response import JSON, Finished, headers_for, to_json
from busyd.period import Instant, to_rfc3339

ONCE: Final = "once_"
"""What a one-time login begins with, and no token."""
ONCE_SECONDS: Final = 120
_MOST_WAITING: Final = 32
_FORM: Final = "application/x-www-form-urlencoded"
_REFUSED: Final = "This token is not valid, or no longer valid. <code>busyd token list</code> shows those that are."
_USED: Final = "This login was used already, or is too old. <code>busyd open</code> makes another one."


class OneTimeLogin(Struct, frozen=True):
    """A login that works once, until `expires`: open `path` in a browser."""

    path: str
    expires: Time


class _Waiting(Struct, frozen=True):
    token_id: str
    until: Instant


class OneTimeLogins:
    """The one-time logins that wait to be used. They end with the process, and after two minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def add(self, token: Token) -> OneTimeLogin:
        """One for the holder of a token."""
        text, until = ONCE + secrets.token_urlsafe(24), Instant(self._clock.now() + ONCE_SECONDS)
        while len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[text] = _Waiting(token.id, until)
        return OneTimeLogin(f"/login#{text}", to_rfc3339(until))

    def use(self, text: str) -> str:
        """The id of the token it stands for, once; empty when it is none."""
        known = next((one for one in self._waiting if hmac.compare_digest(one.encode(), text.encode())), "")
        found = self._waiting.pop(known, None)
        return found.token_id if found is not None and self._clock.now() < found.until else ""


class LoginHandler:
    """Logs people in and out."""

    def __init__(self, backend: Backend, auth: Authenticator, *, body_seconds: float) -> None:
        self._backend = backend
        self._auth = auth
        self._body_seconds = body_seconds
        self._once = OneTimeLogins(backend.clock)

    async def get_login(self, call: Call) -> web.StreamResponse:
        """The form."""
        return await login_form(call.head, status=200)

    async def post_login(self, call: Call) -> web.StreamResponse:
        """Take a token, or a one-time login, and answer with a session. Raises HttpProblem."""
        if not call.head.own_page:
            raise cross_site()
        text = _field(await read_any_body(call, self._body_seconds), call.head)
        backend, now = self._backend, self._backend.clock.now()
        if text.startswith(ONCE):
            token_id = self._once.use(text)
            token = await backend.tokens.find(token_id, now) if token_id else None
        else:
            caller = await self._auth.authenticate(text, now)
            token = caller.token if caller is not None else None
        if token is None:
            await self._auth.throttle(call.client)
            return await login_form(call.head, message=_USED if text.startswith(ONCE) else _REFUSED)
        return _back_to_page(call, f"{open_session(token, now)}; Max-Age={SESSION_SECONDS}")

    async def post_logout(self, call: Call) -> web.StreamResponse:
        """Take the session out of the browser. Raises HttpProblem."""
        if not call.head.own_page:
            raise cross_site()
        return _back_to_page(call, "; Max-Age=0")

    async def post_once(self, call: Call) -> web.StreamResponse:
        """A one-time login with the token of the caller."""
        await read_nothing(call, self._body_seconds)
        assert call.caller.token is not None
        headers = headers_for(JSON, Cache_Control="no-store")
        return web.Response(status=201, body=to_json(self._once.add(call.caller.token)), headers=headers)


async def login_form(head: RequestHeaders, *, message: str = "", status: int = 401) -> web.Response:
    """The form, instead of what only those who are logged in may see; `message` is HTML."""
    text = Template((FOLDER / "login.html").read_text(encoding="utf-8")).substitute(message=message)
    response = await Finished(text.encode(), page_headers(HTML)).response(head)
    response.set_status(status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["WWW-Authenticate"] = 'Bearer realm="busyd"'
    return response


def _field(body: bytes, head: RequestHeaders) -> str:
    """What was entered. Raises HttpProblem."""
    if head.content_type != _FORM:
        raise HttpProblem("wrong-media-type", 415, detail="the body is not a form", fix=f"send it as {_FORM}")
    try:
        fields = parse_qs(body.decode(), max_num_fields=2)
    except ValueError:
        return ""
    return fields.get("token", [""])[0].strip()


def _back_to_page(call: Call, cookie: str) -> web.Response:
    """303 with the cookie. It is for TLS only where the browser came by TLS."""
    secure = "; Secure" if call.request.headers.get("Origin", "").startswith("https:") else ""
    headers = page_headers(HTML)
    headers["Location"] = "/"
    headers["Cache-Control"] = "no-store"
    headers["Set-Cookie"] = f"{SESSION_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"
    return web.Response(status=303, headers=headers)
