"""A name for all that answers follow from: by it, daemons on one database notice that their configurations differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from typing import Final

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from busyd.config.model import Config

_WHERE_WRITTEN: Final = frozenset({"origin", "primary_blocks_origin"})
"""Fields that only say where something is written."""


def config_digest(config: Config) -> str:
    """The same for two configurations exactly when profiles, connections and names of time zones mean the same in both.

    The order in which they are written, and what belongs to one machine, such as `listen` and passwords, make no
    difference. A digest, as addresses of feeds may be secret.
    """
    connections = {name: settings.connection for name, settings in config.connections.items()}
    meaning = _plain([connections, config.profiles, config.time_zones])
    return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=12).hexdigest()


def _written(value: Struct) -> Iterator[tuple[str, object]]:
    """Fields that are not as by default, so that a key that only a newer busyd knows makes no difference until used."""
    for field in fields(value):
        written = getattr(value, field.name)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if field.name not in _WHERE_WRITTEN and written != default:
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
