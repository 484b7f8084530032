"""What the header fields of a request say. A client sends the same fields with every request, so a `ListenerContext`
remembers what they say: on a busy connection this whole file is one look into a dict.
"""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, field

from busyd.address import is_loopback
from busyd.http.settings import EndpointSettings

SESSION_COOKIE: Final = "busyd_session"
RawHeaders = tuple[tuple[bytes, bytes], ...]

_REMEMBERED: Final = 256
_ORDINARY_BYTES: Final = 2048
"""Of all fields together; a larger header is parsed each time, so that it does not fill the memory."""
_LONGEST_CLIENT: Final = 64
_BY_NAME: Final = 2
"""How specific a media type named in full is: two ranges are wider."""
_PROXY_FIELDS: Final = (b"forwarded", b"via", b"x-real-ip")
_ONCE: Final = frozenset({b"host", b"authorization", b"origin", b"content-length", b"content-encoding"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+) *", re.IGNORECASE)

_SESSION = re.compile(rf"(?:^|[;,]) *{SESSION_COOKIE}=([A-Za-z0-9.]{{1,200}})")
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+=*) *", re.IGNORECASE)


class RequestHeaders(Struct, frozen=True):
    """The header fields that matter, as facts."""

    fault: str = ""
    """Why no answer can be given, one of `Fault`'s names; empty when all is well."""
    here: bool = False
    """From this machine and through no proxy."""
    local: bool = False
    """`here`, not sent by the page of another site, and such requests need no token."""
    cross_site: bool = False
    """Sent by a browser for a page that is not ours."""
    token: str | None = None
    """The bearer token; empty when Authorization says something else."""
    basic: tuple[str, str] | None = None
    """User name and password, where Authorization has them (RFC 7617): only the CalDAV server takes those."""
    session: str = ""
    """The login of our own page, from its cookie. None counts that came with the request of another site."""
    own_page: bool = False
    """A browser says that our own page sends this: without, nothing is changed on the strength of a cookie."""
    if_none_match: str = ""
    if_modified_since: str = ""
    conditional: bool = False
    calendar: bool = False
    """The client prefers text/calendar to JSON."""
    gzip: bool = False
    origin: str = ""
    """An origin that may read answers (CORS); empty when there is none, or it is not configured."""
    coding: str = ""
    """How the body is compressed; empty when it is not."""
    content_type: str = ""
    expects_continue: bool = False
    client: str = ""
    """The address for which a trusted proxy speaks."""


class Fault:
    """What can be wrong with header fields alone."""

    MISDIRECTED: Final = "misdirected"
    REPEATED: Final = "repeated"
    TOO_LARGE: Final = "too-large"


class ListenerContext(Struct):
    """One of our addresses as seen by one kind of peer: which hosts it answers for, and headers it has seen."""

    settings: EndpointSettings
    names: frozenset[str]
    """Values of Host, port included, that mean this address."""
    is_local: bool
    """Only this machine can reach the address, and the peer is on it. It may still be a proxy."""
    peer_is_near: bool = False
    """The peer is on this machine, as a trusted proxy is."""
    heads: dict[RawHeaders, RequestHeaders] = field(default_factory=dict)

    def read(self, raw: RawHeaders) -> RequestHeaders:
        """The facts of these fields, remembered."""
        head = read_request_headers(raw, self)
        if sum(len(name) + len(value) for name, value in raw) <= _ORDINARY_BYTES:
            if len(self.heads) >= _REMEMBERED:
                self.heads.clear()
            self.heads[raw] = head
        return head

    def answers_for(self, authority: str) -> bool:
        """Whether a Host (RFC 9110 §7.2) is one of ours."""
        if self.is_named(authority):
            return True
        matched = _AUTHORITY.fullmatch(authority.lower())
        # A proxy on this machine has a port of its own; every request needs a token then.
        return matched is not None and self.settings.behind_proxy and matched[1] in _LOOPBACK

    def is_named(self, authority: str) -> bool:
        """Whether an authority is one by which we are known."""
        text = authority.lower()
        if text in self.names:
            return True
        matched = _AUTHORITY.fullmatch(text)
        return matched is not None and (text in self.settings.hosts or matched[1] in self.settings.hosts)


def listener_names(sockname: object) -> frozenset[str]:
    """The hosts by which a socket can be meant: its address, and for a loopback one the others of its kind.

    A foreign name that resolves to us is not among them, which stops DNS rebinding.
    """
    if not isinstance(sockname, tuple):
        return frozenset(("localhost", "busyd", "127.0.0.1", "[::1]"))
    host, port = str(sockname[0]).partition("%")[0], int(sockname[1])
    literals = {f"[{host}]" if ":" in host else host}
    if is_loopback(host):
        literals |= {"127.0.0.1", "localhost", "[::1]"}
    names = {f"{literal}:{port}" for literal in literals}
    return frozenset(names | literals if port in (80, 443) else names)


def read_request_headers(raw: RawHeaders, listener: ListenerContext) -> RequestHeaders:
    """Turn raw fields into facts. Never raises: what is wrong is in `fault`."""
    fields: dict[bytes, str] = {}
    forwarded, fault = False, ""
    for raw_name, raw_value in raw:
        name, value = raw_name.lower(), raw_value.decode("latin-1").strip()
        forwarded = forwarded or name in _PROXY_FIELDS or name.startswith(b"x-forwarded-")
        if name in fields:
            fault = Fault.REPEATED if name in _ONCE else fault
            value = f"{fields[name]}, {value}"
        fields[name] = value
    get: Callable[[bytes, str], str] = fields.get
    host = get(b"host", "")
    fault = fault or _fault(fields, listener, host=host)
    settings = listener.settings
    origin = get(b"origin", "")
    readable = bool(origin) and origin in settings.cors
    is_own, site = bool(origin) and _is_own(origin, listener, host=host), get(b"sec-fetch-site", "")
    cross_site = not readable and ((bool(origin) and not is_own) or site in ("cross-site", "same-site"))
    session = None if cross_site else _SESSION.search(get(b"cookie", ""))
    # Many proxies add no field of their own, and pass our own name on as the Host.
    here = listener.is_local and not forwarded and not settings.behind_proxy
    if_none_match, if_modified_since = get(b"if-none-match", ""), get(b"if-modified-since", "")
    return RequestHeaders(
        fault=fault,
        here=here and settings.local_access,
        local=here and settings.local_access and not cross_site,
        cross_site=cross_site,
        token=_token(fields.get(b"authorization")),
        basic=_basic(get(b"authorization", "")),
        session=session[1] if session is not None else "",
        own_page=is_own and site in ("same-origin", ""),
        if_none_match=if_none_match,
        if_modified_since=if_modified_since,
        conditional=bool(if_none_match or if_modified_since),
        calendar=_prefers_calendar(get(b"accept", "")),
        gzip=_preference(get(b"accept-encoding", "").lower(), ("gzip", "*"))[0] > 0,
        origin=origin if readable else "",
        coding=get(b"content-encoding", "identity").lower().replace("identity", ""),
        content_type=get(b"content-type", "").partition(";")[0].strip().lower(),
        expects_continue=get(b"expect", "").lower() == "100-continue",
        client=_client(fields) if settings.behind_proxy and listener.peer_is_near else "",
    )


def _fault(fields: dict[bytes, str], listener: ListenerContext, *, host: str) -> str:
    if not listener.answers_for(host):
        return Fault.MISDIRECTED
    length = fields.get(b"content-length", "")
    if length.isdecimal() and int(length[:20]) > listener.settings.limits.body_bytes:
        return Fault.TOO_LARGE
    return ""


def _is_own(origin: str, listener: ListenerContext, *, host: str) -> bool:
    """Whether a page is ours. Another port of this machine is another site, unless the proxy is there."""
    scheme, separator, authority = origin.partition("://")
    is_ours = listener.is_named(authority) or (authority == host and listener.answers_for(host))
    return bool(separator) and scheme in ("http", "https") and is_ours


def _token(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    matched = _BEARER.fullmatch(authorization)
    return matched[1] if matched else ""


def _basic(authorization: str) -> tuple[str, str] | None:
    matched = _BASIC.fullmatch(authorization)
    if matched is None:
        return None
    try:
        user, colon, password = base64.b64decode(matched[1], validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None


def _prefers_calendar(accept: str) -> bool:
    """Whether text/calendar is preferred to JSON; a client that accepts anything gets JSON."""
    lowered = accept.lower()
    if "text/calendar" not in lowered and "text/*" not in lowered:
        return False
    calendar, specific = _preference(lowered, ("text/calendar", "text/*", "*/*"))
    json, json_specific = _preference(lowered, ("application/json", "application/*", "*/*"))
    if calendar != json:
        return calendar > json
    return calendar > 0 and (specific == _BY_NAME or specific > json_specific)


def _preference(header: str, names: Sequence[str]) -> tuple[float, int]:
    """RFC 9110 §12.4.2: the quality of the first of these names that the header has, and how many come after it.

    The names are in order of precedence (§12.5.1, §12.5.3): the most specific first.
    """
    best = (0.0, -1)
    for part in header.split(","):
        value, *parameters = (piece.strip() for piece in part.split(";"))
        specific = len(names) - 1 - names.index(value) if value in names else -1
        if specific > best[1]:
            best = (_quality(parameters), specific)
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _client(fields: dict[bytes, str]) -> str:
    """The client as the nearest proxy names it: the last entry, as earlier ones come from the client itself."""
    last = fields.get(b"x-forwarded-for", "").rpartition(",")[2].strip()
    return (last or fields.get(b"forwarded", "").rpartition(",")[2].strip())[:_LONGEST_CLIENT]
