"""Requests that change something exactly once: the Idempotency-Key field, and what tells one request from another."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from busyd.flow.backend import Backend
from busyd.flow.requests import KeyedRequest, Told
from busyd.http import web
from busyd.http.call import Call
from busyd.http.problem import PROBLEM_TYPE, HttpProblem, bad_request
from busyd.http.request_body import read_body
from busyd.http.response import JSON, SECURITY_HEADERS

S = TypeVar("S", bound=Struct)

KEY_PATTERN: Final = r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$'
_BARE: Final = re.compile(r"[!#-~][!-~]{0,254}")
_QUOTED: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\]){1,255})"')
HOW_TO_WRITE_KEYS: Final = "send it as 1 to 255 visible ASCII characters, another for each thing you ask for"


def key_of(call: Call) -> str:
    """The key of a request, bare or as a structured-field string (RFC 8941 §3.3.3); empty when there is none.

    Raises HttpProblem.
    """
    values = call.request.headers.getall("Idempotency-Key", [])
    if not values:
        return ""
    text = values[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if len(values) > 1 or (quoted is None and not _BARE.fullmatch(text)):
        raise bad_request("the Idempotency-Key cannot be used", fix=HOW_TO_WRITE_KEYS)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted is not None else text


async def asked_of(backend: Backend, call: Call, *, body: bytes = b"") -> KeyedRequest:
    """Who asks for what. Raises HttpProblem."""
    key, caller = key_of(call), call.caller
    return KeyedRequest(
        profile=call.values["profile"],
        now=backend.clock.now(),
        key=key,
        fingerprint=_fingerprint(call, body) if key else b"",
        token=caller.token.id if caller.token is not None else "",
        sees_all=caller.may("details") or caller.may("admin"),
    )


def _fingerprint(call: Call, body: bytes) -> bytes:
    """The same for requests that ask for the same."""
    identity = [call.request.method, call.request.path, sorted(call.query.items()), _canonical(body)]
    return hashlib.sha256(msgspec.json.encode(identity)).digest()


def _canonical(body: bytes) -> str:
    """The same text for bodies that say the same."""
    return msgspec.json.encode(msgspec.json.decode(body), order="sorted").decode() if body else ""


async def read_json(call: Call, seconds: float, *, of: type[S]) -> tuple[S, bytes]:
    """The body of a request as a value, and as it came. Raises HttpProblem."""
    body = await read_body(call, seconds)
    try:
        return msgspec.json.decode(body or b"{}", type=of), body
    except msgspec.ValidationError as error:
        detail = f"the body cannot be used: {error}"
        raise invalid(detail) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise bad_request("the body is not JSON", fix="send a JSON object; GET /openapi.json describes it") from None


def invalid(detail: str, *, fix: str = "GET /openapi.json describes the fields and their limits") -> HttpProblem:
    """422: it can be read, and cannot be done."""
    return HttpProblem("invalid", 422, detail=detail, fix=fix)


def tell(told: Told, *, location: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a request, the same each time."""
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", **(headers or {})}
    if told.body:
        headers["Content-Type"] = JSON if told.status < 400 else PROBLEM_TYPE
    if location:
        headers["Location"] = location
    return web.Response(body=told.body or None, status=told.status, headers=headers)
