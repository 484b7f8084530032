"""Published calendars and holiday feeds: plain iCalendar over GET, always gzip, no login.

`cs:subscribed` collections have no objects over CalDAV; their `source` points here.
"""

import hashlib
from dataclasses import dataclass, field
from email.utils import formatdate

from tests.icloud.content import with_crlf
from tests.icloud.exchange import Answer, Call, empty
from tests.icloud.faults import FaultQueue


@dataclass(slots=True)
class Feed:
    """`path` is `/published/2/<opaque>` or `/holidays/<cc>_<lang>.ics`; `text` may be anything, HTML for instance."""

    path: str
    url: str
    text: str
    content_type: str = "text/calendar"
    refresh_header: str = ""
    modified: float = 0.0
    never_modified: bool = False
    """Whatever the client has is said to be the current version."""
    faults: FaultQueue = field(default_factory=FaultQueue)

    @property
    def webcal_url(self) -> str:
        return "webcal://" + self.url.partition("://")[2]

    @property
    def etag(self) -> str:
        return '"' + hashlib.sha256(self.text.encode()).hexdigest()[:16] + '"'

    def replace(self, text: str, *, modified: float | None = None) -> None:
        self.text = text
        self.modified = self.modified + 1 if modified is None else modified

    def answer(self, call: Call) -> Answer:
        """200, or 304 when the client has this version."""
        if call.method not in ("GET", "HEAD"):
            return empty(405)
        modified = formatdate(self.modified, usegmt=True)
        headers = [("ETag", self.etag), ("Last-Modified", modified)]
        if self.refresh_header:
            headers.append(("Cache-Control", self.refresh_header))
        known = call.headers.get("If-None-Match")
        is_conditional = known is not None or "If-Modified-Since" in call.headers
        if self.never_modified and is_conditional:
            return empty(304, *headers)
        if known == self.etag or (known is None and call.headers.get("If-Modified-Since") == modified):
            return empty(304, *headers)
        return Answer(200, with_crlf(self.text).encode(), self.content_type, headers)
