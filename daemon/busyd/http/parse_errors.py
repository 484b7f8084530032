"""What the HTTP parser refused, in words for whoever sent it. Nothing of the request is quoted: it may be secret."""

from collections.abc import Mapping
from typing import Final

from busyd.http.aiohttp_internals import ParseFault, parse_fault
from busyd.http.problem import HttpProblem, bad_request

_REASONS: Final[Mapping[ParseFault, tuple[str, str]]] = {
    ParseFault.NO_HOST: ("the request has no Host field", "send `Host:` with the name or address of this server"),
    ParseFault.TWO_HOSTS: ("the request has two Host fields", "send `Host:` once"),
    ParseFault.REPEATED_FIELD: ("a header field that must not be repeated is there twice", "send it once"),
    ParseFault.TWO_LENGTHS: (
        "the request has both Content-Length and Transfer-Encoding (RFC 9112 §6.1)",
        "send one of them",
    ),
    ParseFault.BAD_LENGTH: ("Content-Length is not a number", "send the length of the body in bytes"),
    ParseFault.UNKNOWN_TRANSFER_ENCODING: (
        "this Transfer-Encoding is not supported",
        "send the body as it is, or chunked",
    ),
    ParseFault.BAD_CHUNK: ("the chunks of the body are not valid (RFC 9112 §7.1)", "send the body with Content-Length"),
    ParseFault.BAD_FIELD_NAME: ("the name of a header field contains an invalid character", "correct the field"),
    ParseFault.BAD_FIELD_VALUE: ("the value of a header field contains an invalid character", "correct the field"),
    ParseFault.HTTP_2: ("HTTP/2 is not supported", "use HTTP/1.1"),
    ParseFault.BAD_VERSION: ("this version of HTTP is not supported", "use HTTP/1.1"),
    ParseFault.BAD_TARGET: (
        "the address in the request line is not valid",
        "percent-encode everything in it that is not a letter or digit",
    ),
    ParseFault.TLS: ("this address does not speak TLS", "use http:// instead of https://"),
    ParseFault.BAD_METHOD: ("the method in the request line is not valid", "use GET, in capital letters"),
    ParseFault.OTHER: (
        "what arrived is not a valid HTTP/1.1 request",
        "send `GET /v1/profiles HTTP/1.1` and a Host field, each line ending in CR LF",
    ),
}
"""Fault -> what is wrong, and what to do."""


def problem_of(error: BaseException | None, *, header_bytes: int) -> HttpProblem:
    """The answer to a request that could not be parsed."""
    match parse_fault(error):
        case ParseFault.TARGET_TOO_LONG:
            detail = f"the address in the request line is longer than {header_bytes} bytes"
            return HttpProblem("address-too-long", 414, detail=detail, fix="shorten the query")
        case ParseFault.FIELD_TOO_LONG:
            detail = f"a header field is longer than {header_bytes} bytes"
            return HttpProblem("header-too-large", 431, detail=detail, fix="send shorter header fields")
        case ParseFault.TOO_MANY_FIELDS:
            return HttpProblem(
                "header-too-large", 431, detail="there are too many header fields", fix="send fewer of them"
            )
        case fault:
            detail, fix = _REASONS[fault]
            return bad_request(detail, fix=fix)
