"""Hrefs and ETags: how a server names a resource and its state.

Resources are compared by the canonical form of their href and asked for by the spelling their server listed.
"""

import re
from typing import Final, NewType
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

Href = NewType("Href", str)
"""An absolute path in canonical form, so that equal resources are equal strings. No scheme, no host."""

ETag = NewType("ETag", str)
"""An entity tag exactly as received, with quotes and `W/`; empty if the server sent none."""

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SENDABLE: Final = frozenset(map(chr, range(0x21, 0x7F))) - set('"<>\\^`{|}')
"""What may stand in a request line as it is; everything else, a space for instance, is percent-encoded."""
_COMPRESSED: Final = re.compile(r"[-;](?:-?gzip|br|deflate)$")
_SLASHES: Final = re.compile(r"^/{2,}")
_CANONICAL: Final = re.compile(r"/(?:[A-Za-z0-9._~/-])*")
_CANONICAL_OBJECT: Final = re.compile(r"/(?!/)[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]")
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


def normalise_href(text: str, *, collection: bool = False) -> Href:
    """The canonical form of a path or absolute URL, as DAV:href holds it (RFC 4918 §8.3).

    Every segment is decoded once and encoded again, so `@` and `%40` are equal, while an encoded slash stays one.
    Scheme, host and port are dropped: iCloud's shard and generic host serve the same paths. A collection's path ends
    in a slash, that of an object does not, even where a server adds one.
    """
    if not collection and _CANONICAL_OBJECT.fullmatch(text):  # as most servers write them
        return Href(text)
    path = text.strip()
    absolute = _ABSOLUTE.match(path)
    if absolute:
        path = path[absolute.end() :]
    path, _, _ = path.partition("#")
    # A doubled leading slash is part of the path, not another host (as RFC 3986 §4.2 would read it).
    path = _SLASHES.sub("/", path if path.startswith("/") else "/" + path)
    if not _CANONICAL.fullmatch(path):
        bare, mark, query = path.partition("?")
        path = "/".join(quote(unquote_to_bytes(segment), safe="") for segment in bare.split("/"))
        if mark:
            path += "?" + quote(query, safe="%=&;:@/,+")
    if collection and not path.endswith("/"):
        path += "/"
    elif not collection and path.lower().endswith(".ics/"):
        path = path.rstrip("/")
    return Href(path)


def spelling_of(text: str, base: str = "") -> str:
    """The path that names a resource to its own server: as it was listed, without scheme, host and fragment.

    A relative href is resolved against `base`, the URL of the collection that was asked (RFC 4918 §8.3).
    """
    if _CANONICAL_OBJECT.fullmatch(text):
        return text
    path = text.strip()
    absolute = _ABSOLUTE.match(path)
    if absolute:
        path = path[absolute.end() :]
    path, _, _ = path.partition("#")
    if not path.startswith("/"):
        directory = "" if absolute else urlsplit(base).path.rstrip("/")
        path = f"{directory}/{path.removeprefix('./')}"
    return "".join(char if char in _SENDABLE else quote(char) for char in _SLASHES.sub("/", path))


def is_same_etag(listed: str, answered: str) -> bool:
    """Whether two ETags mean the same state, as far as the ways differ in which servers write one.

    Weak or not, quoted or not, and with the suffix that a compressing proxy adds (RFC 9110 §8.8.3.1).
    """
    return listed == answered or _bare(listed) == _bare(answered)


def _bare(etag: str) -> str:
    bare = etag.strip().removeprefix("W/").removeprefix("w/").strip('"')
    return _COMPRESSED.sub("", bare)


def same_resource(url: str, other: str) -> bool:
    """True when both name the same path, whatever the host, the encoding and the trailing slash."""
    return normalise_href(url, collection=True) == normalise_href(other, collection=True)


def spellings(*urls: str) -> frozenset[Href]:
    """The hrefs under which these collections may be listed: with and without a trailing slash."""
    hrefs = [normalise_href(url, collection=True) for url in urls]
    return frozenset([*hrefs, *(Href(href.rstrip("/") or "/") for href in hrefs)])


def resolve_url(base: str, text: str, *, collection: bool = False) -> str:
    """The absolute URL that an href means in the response of `base`, which may be on another host.

    The path is canonical, and the default port is left out. Whether that host may be contacted is decided where
    requests are sent.
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
    """The host of a URL for a message, without user info; `the server` if there is none."""
    try:
        return urlsplit(url).hostname or "the server"
    except ValueError:
        return "the server"
