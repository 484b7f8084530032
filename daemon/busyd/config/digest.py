"""A digest of the configuration that answers depend on, by which daemons on one database notice that theirs differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from typing import Final

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from busyd.config.model import Config

_LEFT_OUT: Final = frozenset({"origin", "primary_blocks_origin", "timeout", "user_agent", "allow_password_shape"})
"""Fields that say where something is written, or how a machine reaches a server."""
_UNORDERED: Final = frozenset({"conflicts", "addresses"})
"""Fields whose order makes no difference."""


def config_digest(config: Config, machine_zone: str) -> str:
    """The same for configurations by which the same is answered: of profiles, connections and names of time zones.

    The order in which they are written, defaults that are written out, and what belongs to one machine, such as
    `listen` and passwords, make no difference. `machine_zone` does where a profile names no zone. A digest, as
    addresses of feeds may be secret.
    """
    connections = {name: settings.connection for name, settings in config.connections.items()}
    zone = machine_zone if any(profile.timezone is None for profile in config.profiles.values()) else ""
    meaning = _plain([connections, config.profiles, config.time_zones, zone])
    return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=12).hexdigest()


def _written(value: Struct) -> Iterator[tuple[str, object]]:
    """Fields that differ from their defaults, so that a key that only a newer busyd knows makes no difference until it
    is used."""
    for field in fields(value):
        if field.name in _LEFT_OUT:
            continue
        written = _plain(getattr(value, field.name))
        if field.name in _UNORDERED and isinstance(written, list):
            written.sort(key=json.dumps)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if default is NODEFAULT or written != _plain(default):
            yield field.name, written


def _plain(value: object) -> object:
    """As JSON, with everything that has no order sorted."""
    match value:
        case Struct():
            return _plain(dict(_written(value)))
        case Mapping():
            return sorted([[_plain(key), _plain(item)] for key, item in value.items()], key=json.dumps)
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
