"""What answers instead of a calendar: a web page."""


def is_web_page(body: bytes) -> bool:
    """Whether a body is HTML, as the pages are that portals and web servers answer with."""
    return body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))
