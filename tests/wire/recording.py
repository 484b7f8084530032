"""Recorded exchanges as values: the request that was sent, and the answer as the protocol room would be given it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from busyd.dav.exchange import DavResponse

FOLDER: Final = Path(__file__).parent / "apple-calendarserver"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.txt") if b"==== RESPONSE" in path.read_bytes())


@dataclass(frozen=True, slots=True)
class Recording:
    """One file. `response` is the last answer where several came; very long bodies were shortened, and so are cut."""

    method: str
    path: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    response: DavResponse


def recording(name: str) -> Recording:
    """Read `NAME.txt`."""
    _, _, rest = (FOLDER / f"{name}.txt").read_bytes().partition(b"==== REQUEST\n")
    asked, _, answered = rest.partition(b"\n==== RESPONSE")
    request_line, request_headers, request_body = _split(asked, b"> ")
    status_line, headers, body = _split(answered.partition(b"\n")[2], b"< ")
    method, path, _ = request_line.split(" ", 2)
    host = dict(request_headers).get("Host", "127.0.0.1:8008")
    response = DavResponse(int(status_line.split(" ")[1]), f"http://{host}{path}", headers, body)
    return Recording(method, path, request_headers, request_body, response)


def _split(part: bytes, mark: bytes) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
    """First line, headers and body of a message whose head is marked line by line; the last head wins."""
    first, headers = "", list[tuple[str, str]]()
    while part.startswith(mark):
        line, _, part = part.partition(b"\n")
        text = line.removeprefix(mark).decode("latin-1").strip()
        name, colon, value = text.partition(": ")
        if text.startswith("HTTP/") or (not first and text):
            first, headers = text, []
        elif colon:
            headers.append((name, value))
    return first, tuple(headers), part
