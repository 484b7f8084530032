"""One request on its way to a handler."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field

from busyd.http import web
from busyd.http.auth import Caller
from busyd.http.request_headers import RequestHeaders


class Call(Struct):
    """An authenticated request; nothing changes it."""

    request: web.BaseRequest
    head: RequestHeaders
    caller: Caller
    query: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)
    """Variable of the route -> its value in the path, decoded."""
    client: str = ""
    """The address the request came from."""


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
