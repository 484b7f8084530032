"""The key `store`: the database that several daemons share, in place of files in the state directory."""

import re
from typing import Final
from urllib.parse import unquote

from busyd.config.connections import read_password_source
from busyd.config.errors import quote
from busyd.config.model import StoreConfig
from busyd.config.parsers import is_loopback_host
from busyd.config.reader import ConfigReader
from busyd.config.tree import Entry, MappingNode
from busyd.credentials import FromCredential, FromFile

_EXAMPLE: Final = "postgresql://busyd@db.example.org/busyd?sslmode=verify-full&sslrootcert=/etc/busyd/ca.pem"
_SCHEMES: Final = ("postgresql", "postgres")
_SETTINGS: Final = ("host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
"""What may stand behind the `?`. Of the others some would have libpq connect elsewhere, some are secrets, and some
busyd sets itself."""
_WORD: Final = re.compile("[a-z_]+")
_PARTS: Final = re.compile(r"(?P<places>[^/?]*)(?:/[^?]*)?(?:\?(?P<settings>.*))?", re.DOTALL)
_PLACE: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]*))?")
_UNREADABLE: Final = re.compile("%(?![0-9A-Fa-f]{2})|%00|[\0 ]")
"""What libpq does not take anywhere in an address."""


def read_store(reader: ConfigReader, entry: Entry | None) -> StoreConfig | None:
    """`store: postgresql://…`, or a mapping of `url` and `password`; None for SQLite, the default."""
    if entry is None:
        return None
    if not isinstance(entry.value, MappingNode):
        url = reader.value(entry, "store", parse=_parse_url, default="")
        return StoreConfig(url) if url else None
    keys = reader.section(entry, "store", known=("url", "password"))
    if "url" not in keys:
        reader.fault(entry.location, f"store needs a url, such as {_EXAMPLE}")
    url = reader.value(keys.get("url"), "url", parse=_parse_url, default="")
    password = read_password_source(reader, keys.get("password"))
    if not isinstance(password, FromCredential | FromFile | None):
        reader.fault(keys["password"].value.location, "password of the store: use {credential: NAME} or {file: PATH}")
        password = None
    return StoreConfig(url, password) if url else None


def _parse_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in _SCHEMES:
        raise _not_an_address()
    if _UNREADABLE.search(rest) or "\N{REPLACEMENT CHARACTER}" in unquote(rest):
        message = "a '%' in the address must be followed by two hexadecimal digits, as %20 stands for a space"
        raise ValueError(message)
    login, hosts, settings = _take_apart(rest)
    if ":" in login or "password" in settings:
        message = "the address must not contain the password; write 'store: {url: …, password: {credential: NAME}}'"
        raise ValueError(message)
    for name in (name for name in settings if name not in _SETTINGS):
        # What is no word may be part of a password that has a '/' in it, and is not quoted.
        what = quote(name) if _WORD.fullmatch(name) else "this"
        message = f"the address of the database cannot have {what} behind its '?', only {', '.join(_SETTINGS)}"
        raise ValueError(message)
    if not all(map(_is_port, settings.get("port", "").split(","))):
        raise _not_an_address()
    far = [host for host in settings.get("host", hosts).split(",") if not _is_here(host)]
    if far and settings.get("sslmode") != "verify-full":
        message = (
            "a database on another machine needs a certificate that is verified: "
            "add ?sslmode=verify-full&sslrootcert=FILE"
        )
        raise ValueError(message)
    return text


def _take_apart(rest: str) -> tuple[str, str, dict[str, str]]:
    """Login, hosts and settings of what follows the scheme, as libpq takes them: not by the rules for other URLs.

    A `#` means nothing to it, a login reaches to the first `@` before any `/`, and a `%2C` separates hosts.
    """
    login, at, behind = rest.partition("@")
    if not at or "/" in login:
        login, behind = "", rest
    parts = _PARTS.fullmatch(behind)
    assert parts is not None  # it matches everything
    places = [_PLACE.fullmatch(place) for place in parts["places"].split(",")]
    hosts = [unquote(place["host"].strip("[]")) for place in places if place is not None]
    is_whole = len(hosts) == len(places) and all(_is_port(place["port"] or "") for place in places if place is not None)
    if not is_whole or "[]" in parts["places"]:
        raise _not_an_address()
    settings = dict[str, str]()
    for one in parts["settings"].split("&") if parts["settings"] else ():
        name, equals, value = map(unquote, one.partition("="))
        if name in _SETTINGS and (not equals or "=" in one.partition("=")[2]):
            raise _not_an_address()
        settings[name] = value
    return login, ",".join(hosts), settings


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and 0 < int(text) < 65_536)


def _is_here(host: str) -> bool:
    return not host or host.startswith(("/", "@")) or is_loopback_host(host)


def _not_an_address() -> ValueError:
    return ValueError(f"expected the address of a PostgreSQL database, such as {_EXAMPLE}")
