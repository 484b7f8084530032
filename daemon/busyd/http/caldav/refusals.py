"""Refusals with the precondition that was not met (RFC 4918 §16, RFC 3744 §7.1.1)."""

from collections.abc import Mapping
from typing import Final

from busyd.dav import names
from busyd.dav.xml import Element, error_body, make
from busyd.http import web
from busyd.http.problem import HttpProblem
from busyd.http.response import SECURITY_HEADERS

XML: Final = "application/xml; charset=utf-8"
DAV_HEADERS: Final[Mapping[str, str]] = {
    **SECURITY_HEADERS,
    "DAV": "1, 3, access-control, calendar-access",
    "Cache-Control": "private, no-cache, no-transform",
}
"""On every answer: Apple looks for DAV on a PROPFIND too. A proxy that compresses would change the ETags."""


class PreconditionNotMet(HttpProblem):
    """The body names the precondition for the app that asked; the text is for the log."""

    def __init__(self, condition: str, *children: Element, detail: str, status: int = 403) -> None:
        super().__init__("dav-precondition", status, detail=detail)
        self._document = error_body(condition, *children)

    def response(self) -> web.Response:
        headers = {**DAV_HEADERS, "Content-Type": XML}
        return web.Response(body=self._document, status=self.status, headers=headers)


def no_privilege(href: str) -> PreconditionNotMet:
    """This cannot be written to, or not by this token."""
    privilege = make(names.PRIVILEGE, make(names.WRITE))
    needed = make(names.RESOURCE, make(names.HREF, href), privilege)
    return PreconditionNotMet(names.NEED_PRIVILEGES, needed, detail="this cannot be written to with this token")
