"""What the HTTP parser refused, in words for who sent it. No word of the request is said back: it may be secret."""

from collections.abc import Mapping
from typing import Final

from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

from busyd.http.problem import HttpProblem, bad_request

_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "Missing 'Host'": ("the request has no Host field", "send `Host:` with the name or address that busyd is asked by"),
    "Duplicate 'Host'": ("the request has two Host fields", "send `Host:` once"),
    "Duplicate": ("a header field that may stand once stands twice", "send it once"),
    "can't be present with": (
        "the request has both Content-Length and Transfer-Encoding (RFC 9112 §6.1)",
        "send one of them",
    ),
    "Content-Length": ("Content-Length is no number", "send the length of the body in bytes"),
    "Transfer-Encoding": ("this Transfer-Encoding is not known here", "send the body as it is, or chunked"),
    "chunk": ("the chunks of the body are not as RFC 9112 §7.1 has them", "send the body with Content-Length"),
    "header token": ("the name of a header field holds a character that may not be there", "correct the field"),
    "header value": ("the value of a header field holds a character that may not be there", "correct the field"),
    "Pause on PRI": ("HTTP/2 is not spoken here", "use HTTP/1.1"),
    "Invalid HTTP version": ("this version of HTTP is not spoken here", "use HTTP/1.1"),
    "url": ("the address in the request line is none", "escape what is no letter or digit in it as %XX"),
    "HTTPS traffic": ("this address speaks HTTP without TLS", "write http:// in place of https://"),
}
"""What stands in the parser's message -> what is wrong, and what to do. The first that fits counts."""


def problem_of(error: BaseException | None, *, header_bytes: int) -> HttpProblem:
    """The answer to a request that could not be read."""
    message = str(getattr(error, "message", ""))
    if isinstance(error, LineTooLong):
        # QUIRK(aiohttp): only the type of what it quotes tells the address of the request from its header fields.
        if isinstance(error.args[0], bytearray):
            detail = f"the address in the request line is longer than {header_bytes} bytes"
            return HttpProblem("address-too-long", 414, detail, fix="ask a shorter question")
        detail = f"a header field is longer than {header_bytes} bytes"
        return HttpProblem("header-too-large", 431, detail, fix="send shorter header fields")
    if "Too many headers" in message:
        return HttpProblem("header-too-large", 431, "there are too many header fields", fix="send fewer of them")
    for part, (detail, fix) in _REASONS.items():
        if part in message:
            return bad_request(detail, fix=fix)
    if isinstance(error, BadHttpMethod):
        return bad_request("the method in the request line is not known here", fix="use GET, in capital letters")
    return bad_request(
        "what arrived is not a request as HTTP/1.1 has them",
        fix="send `GET /v1/profiles HTTP/1.1` and a Host field, each line ended by CR LF",
    )
