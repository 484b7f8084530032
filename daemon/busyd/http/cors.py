"""Cross-origin reading (the Fetch standard's CORS): off, unless the configuration names the origins."""

from busyd.http import web
from busyd.http.request_headers import RequestHeaders
from busyd.http.response import SECURITY_HEADERS


def allow_origin(response: web.StreamResponse, origin: str) -> None:
    """Let the page of a configured origin read this answer. There are no cookies, so no credentials."""
    if response.prepared:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "ETag, Busyd-As-Of, Location, Retry-After"
    vary = response.headers.get("Vary", "")
    response.headers["Vary"] = f"{vary}, Origin" if vary else "Origin"


def preflight(allow: str, head: RequestHeaders) -> web.Response:
    """OPTIONS: the methods of a route, and for a configured origin what its pages may send."""
    headers = {**SECURITY_HEADERS, "Allow": allow}
    if head.origin:
        headers["Access-Control-Allow-Methods"] = allow
        headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
        )
        headers["Access-Control-Max-Age"] = "600"
    return web.Response(status=204, headers=headers)
