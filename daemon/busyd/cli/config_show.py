"""`busyd config show`: what counts, key by key, and where it is written; no password, and no address of a feed."""

import argparse
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import find_installation
from busyd.cli.terminal import print_json, printable
from busyd.config import Config
from busyd.config.load import read_tree_of
from busyd.config.tree import MappingNode, Node, ScalarNode, SequenceNode
from busyd.connection import ConnectionKind, shown_address
from busyd.timetext import write_duration

_DEFAULT: Final = "default"
_HIDDEN: Final = "***"


class Setting(Struct, frozen=True):
    """One key and its value."""

    key: str
    value: str
    origin: str
    """FILE:LINE, or `default`."""


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `config show`."""
    parser.add_argument("--origin", action="store_true", help="also print the file and line of each value")
    parser.add_argument("--json", action="store_true", help="print JSON, origins included")
    parser.set_defaults(run=show_config)


def show_config(arguments: argparse.Namespace) -> int:
    """Print every key that counts, in the order of the files, then the defaults. Raises ConfigFaults."""
    installation = find_installation(arguments)
    config = installation.config
    with installation.as_its_user():
        tree = read_tree_of(installation.config_path)
    written = [*_leaves(tree, "", config=config)]
    known = {setting.key.partition("[")[0] for setting in written}
    settings = [*written, *(one for one in _defaults(config) if one.key not in known)]
    if arguments.json:
        print_json([{"key": one.key, "value": one.value, "origin": one.origin} for one in settings])
        return ExitStatus.OK
    for one in settings:
        origin = f"  # {one.origin}" if arguments.origin else ""
        print(printable(f"{one.key}: {one.value}{origin}"))
    return ExitStatus.OK


def _leaves(node: Node, key: str, *, config: Config) -> Iterator[Setting]:
    match node:
        case MappingNode(entries=entries):
            for name, entry in entries.items():
                yield from _leaves(entry.value, f"{key}.{name}" if key else name, config=config)
        case SequenceNode(items=items):
            for number, item in enumerate(items):
                yield from _leaves(item, f"{key}[{number}]", config=config)
        case ScalarNode():
            yield Setting(key, _shown(key, node.text, config=config), node.location.short)


def _shown(key: str, text: str, *, config: Config) -> str:
    """A value as it may be seen: passwords that are written down, and addresses of feeds, are secrets."""
    parts = key.split(".")
    if parts[0] == "connections" and len(parts) > 2:
        if parts[2:] == ["password"]:
            return _HIDDEN
        settings = config.connections.get(parts[1])
        if parts[2:] == ["url"] and settings is not None and settings.connection.kind is ConnectionKind.ICS:
            return shown_address(text)
    return text


def _defaults(config: Config) -> Iterator[Setting]:
    """The values of what nobody wrote, as far as a person may want to know them."""

    def default(key: str, value: Any) -> Setting:
        return Setting(key, str(value), _DEFAULT)

    yield default("listen", ", ".join(map(str, config.listen)))
    yield default("local_access", config.local_access)
    yield default("log", config.log)
    for name, settings in config.connections.items():
        own = settings.connection
        for field, value in (
            ("kind", own.kind.value),
            ("poll", write_duration(own.poll)),
            ("timeout", write_duration(own.timeout)),
            ("allow_password_shape", own.allow_password_shape.value),
            ("privacy", own.privacy.value),
        ):
            yield default(f"connections.{name}.{field}", value)
    for name, profile in config.profiles.items():
        yield default(f"profiles.{name}.timezone", profile.timezone or "the calendar's own, else the machine's")
        yield default(f"profiles.{name}.primary_blocks", str(profile.primary_blocks).lower())
        yield default(f"profiles.{name}.max_age", write_duration(profile.max_age))
        for rule in ("all_day", "tentative", "unanswered", "declined", "travel_time"):
            yield default(f"profiles.{name}.rules.{rule}", str(getattr(profile.rules, rule)).lower())
