"""The key `store`: the database that several daemons share, in place of files in the state directory."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from busyd.config.connections import read_password_source
from busyd.config.model import StoreConfig
from busyd.config.parsers import is_loopback_host
from busyd.config.reader import ConfigReader
from busyd.config.tree import Entry, MappingNode
from busyd.credentials import FromCredential, FromFile

_EXAMPLE: Final = "postgresql://busyd@db.example.org/busyd?sslmode=verify-full&sslrootcert=/etc/busyd/ca.pem"
_SCHEMES: Final = ("postgresql", "postgres")
_PORT: Final = re.compile(r":[0-9]*$")


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
    if text.partition("://")[0] not in _SCHEMES:
        message = f"expected the address of a PostgreSQL database, such as {_EXAMPLE}"
        raise ValueError(message)
    parts = urlsplit(text)
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    login, _, places = parts.netloc.rpartition("@")
    if ":" in login or "password" in settings:
        message = "the address must not contain the password; write 'store: {url: …, password: {credential: NAME}}'"
        raise ValueError(message)
    hosts = settings.get("host", places).split(",")
    far = [host for host in map(_without_port, hosts) if not _is_here(host)]
    if far and settings.get("sslmode") != "verify-full":
        message = (
            "a database on another machine needs a certificate that is verified: "
            "add ?sslmode=verify-full&sslrootcert=FILE"
        )
        raise ValueError(message)
    return text


def _without_port(place: str) -> str:
    return _PORT.sub("", place) if not place.startswith("/") else place


def _is_here(host: str) -> bool:
    return not host or host.startswith(("/", "%2F", "%2f", "@")) or is_loopback_host(host.strip("[]"))
