"""A digest of the configuration that answers depend on, by which daemons on one database notice that theirs differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from functools import cache
from typing import Final

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from busyd.config.model import Config

_LEFT_OUT: Final = frozenset({"origin", "primary_blocks_origin", "timeout", "user_agent", "allow_password_shape"})
"""Fields that say where something is written, or how a machine reaches a server."""
_UNORDERED: Final = frozenset({"conflicts", "addresses"})
"""Fields whose order makes no difference."""


def config_digest(config: Config, machine_zone: str) -> str:
    """Equal for configurations that lead to the same answers: profiles, connections and names of time zones.

    The order of keys, defaults that are spelled out, and what belongs to one machine, such as `listen` and passwords,
    make no difference; `machine_zone` counts only where a profile names no zone. Others see only the digest, because
    the addresses of feeds may be secret.
    """
    connections = {name: settings.connection for name, settings in config.connections.items()}
    zone = machine_zone if any(profile.timezone is None for profile in config.profiles.values()) else ""
    meaning = _plain([connections, config.profiles, config.time_zones, zone])
    return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=12).hexdigest()


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, object]]:
    """The fields that count, each with its default in plain form, or NODEFAULT."""
    found = []
    for field in fields(kind):
        if field.name not in _LEFT_OUT:
            default = field.default if field.default_factory is NODEFAULT else field.default_factory()
            found.append((field.name, NODEFAULT if default is NODEFAULT else _plain(default)))
    return found


def _written(value: Struct) -> Iterator[tuple[str, object]]:
    """Fields that differ from their defaults, so that a key that only a newer busyd knows makes no difference until it
    is used."""
    for name, default in _fields(type(value)):
        written = _plain(getattr(value, name))
        if name in _UNORDERED and isinstance(written, list):
            written.sort(key=json.dumps)
        if written != default:
            yield name, written


def _plain(value: object) -> object:
    """As JSON, with everything that has no order sorted."""
    match value:
        case Struct():
            return list(_written(value))
        case Mapping():
            return sorted(
                [[_plain(key), _plain(item)] for key, item in value.items()], key=lambda pair: json.dumps(pair[0])
            )
        case Set():
            return sorted(map(_plain, value), key=json.dumps)
        case list() | tuple():
            return [_plain(item) for item in value]
        case timedelta():
            return value.total_seconds()
        case date():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case _:
            message = f"a configuration should have no {type(value).__name__}"
            raise TypeError(message)
