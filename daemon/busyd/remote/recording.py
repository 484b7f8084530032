"""Exchanges as redacted text, one request and its response per file, in the format that tests replay.

The format is that of the recordings in the tests: request lines start with `> `, response lines with `< `, and bodies
are verbatim. Returns bytes; writing files is up to the caller.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from busyd import __version__
from busyd.remote.observer import Exchange
from busyd.remote.redaction import Headers, WireRedactor
from busyd.remote.wire import USER_AGENT

_NOTE: Final = "redacted by busyd {version}: names, addresses, titles, tokens and hosts are placeholders"


def render_exchange(exchange: Exchange, name: str, *, redactor: WireRedactor) -> bytes | None:
    """The content of a file for one exchange, or None when there was no answer."""
    request, response = exchange.request, exchange.response
    if response is None:
        return None
    where = urlsplit(response.url)
    path = urlsplit(redactor.url(response.url)).path
    body = redactor.body(request.body)
    asked: Headers = (
        ("Host", redactor.host(where.hostname or "", where.port)),
        ("User-Agent", USER_AGENT),
        *((("Depth", request.depth),) if request.depth is not None else ()),
        *redactor.headers(request.headers),
        *((("Content-Length", str(len(body))),) if body else ()),
    )
    answer = redactor.body(response.body)
    answered = (*redactor.headers(response.headers), ("Content-Length", str(len(answer))))
    return b"".join(
        (
            f"# {name}\n#\n# {_NOTE.format(version=__version__)}\n\n".encode(),
            b"==== REQUEST\n",
            _head(f"{request.method} {path} HTTP/1.1", asked, mark="> "),
            body,
            b"\n==== RESPONSE\n",
            _head(f"HTTP/1.1 {response.status} {_phrase(response.status)}", answered, mark="< "),
            answer,
        )
    )


def _head(first: str, headers: Headers, *, mark: str) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), ""]
    # A header is one line here, whatever a server put into it.
    return "".join(f"{mark}{' '.join(line.split())}\n" for line in lines).encode()


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
