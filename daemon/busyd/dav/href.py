"""Hrefs and ETags: how a server names a resource and its state. Comparing, never fetching."""

import re
from typing import Final, NewType
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

Href = NewType("Href", str)
"""Absolute path in one canonical spelling, so that equal resources are equal strings. No scheme, no host."""

ETag = NewType("ETag", str)
"""An entity tag exactly as it was delivered, quotes and `W/` included; empty where the server gave none."""

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SLASHES: Final = re.compile(r"^/{2,}")
_CANONICAL: Final = re.compile(r"/(?:[A-Za-z0-9._~/-])*")
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


def normalise_href(text: str, *, collection: bool = False) -> Href:
    """The canonical form of a path or absolute URL, as DAV:href holds it (RFC 4918 §8.3).

    Every segment is decoded once and encoded again, so `@` and `%40` are equal, while an encoded slash stays one.
    Scheme, host and port are dropped: iCloud's shard and generic host serve the same paths. A collection's path ends
    in a slash.
    """
    path = text.strip()
    absolute = _ABSOLUTE.match(path)
    if absolute:
        path = path[absolute.end() :]
    path, _, _ = path.partition("#")
    # A doubled leading slash is a path here, never the name of another host (RFC 3986 §4.2 would read one).
    path = _SLASHES.sub("/", path if path.startswith("/") else "/" + path)
    if not _CANONICAL.fullmatch(path):
        bare, mark, query = path.partition("?")
        path = "/".join(quote(unquote_to_bytes(segment), safe="") for segment in bare.split("/"))
        if mark:
            path += "?" + quote(query, safe="%=&;:@/,+")
    if collection and not path.endswith("/"):
        path += "/"
    return Href(path)


def same_resource(one: str, other: str) -> bool:
    """True when both name the same path, whatever the host, the encoding and the slash at the end."""
    return normalise_href(one, collection=True) == normalise_href(other, collection=True)


def spellings(*urls: str) -> frozenset[Href]:
    """The hrefs under which these collections may be listed: with the slash at the end and without."""
    hrefs = [normalise_href(url, collection=True) for url in urls]
    return frozenset([*hrefs, *(Href(href.rstrip("/") or "/") for href in hrefs)])


def resolve_url(base: str, text: str, *, collection: bool = False) -> str:
    """The absolute URL that an href means in the answer of `base`: another host where the href names one.

    The path comes back canonical and the default port is left out. Whether that host may be spoken to is not decided
    here but where requests are sent.
    """
    stripped = text.strip()
    joined = urljoin(base, _SLASHES.sub("/", stripped))
    try:
        parts = urlsplit(joined)
        port = parts.port
    except ValueError:
        return joined
    host = parts.netloc
    if port is not None and port == _DEFAULT_PORT.get(parts.scheme):
        host = host.rpartition(":")[0]
    return f"{parts.scheme}://{host.lower()}{normalise_href(joined, collection=collection)}"


def host_of(url: str) -> str:
    """The host of a URL for a message, without user info; the text `the server` where there is none."""
    try:
        return urlsplit(url).hostname or "the server"
    except ValueError:
        return "the server"
