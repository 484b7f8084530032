"""Reads values from the tree: each method returns the value, or notes a fault and returns the default."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from busyd.config.errors import ConfigFault, SourceLocation, one_of, quote
from busyd.config.parsers import parse_choice
from busyd.config.tree import Entry, MappingNode, Node, ScalarNode, SequenceNode
from busyd.spelling import did_you_mean

T = TypeVar("T")

_OTHER_WORDS = {
    "account": "connections",
    "accounts": "connections",
    "address": "listen",
    "apple_id": "username",
    "bind": "listen",
    "calendar": "primary",
    "certificate": "cert",
    "conflict": "conflicts",
    "email": "username",
    "emails": "addresses",
    "interval": "poll",
    "length": "duration",
    "login": "username",
    "pass": "password",
    "people": "profiles",
    "port": "listen",
    "private_key": "key",
    "refresh": "poll",
    "server": "url",
    "type": "kind",
    "tz": "timezone",
    "user": "username",
    "working_hours": "hours",
    "zone": "timezone",
}
"""Names that other programs use -> the key."""


class ConfigReader:
    """Collects faults while values are read."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.faults: list[ConfigFault] = []
        self.warnings: list[ConfigFault] = []
        self.locations: dict[str, SourceLocation] = {}
        """Where values are written whose faults appear only in use."""

    def fault(self, location: SourceLocation, message: str) -> None:
        self.faults.append(ConfigFault(location, message))

    def warn(self, location: SourceLocation, message: str) -> None:
        self.warnings.append(ConfigFault(location, message))

    def mapping(self, entry: Entry | None, what: str) -> dict[str, Entry]:
        """The entries of a mapping whose keys are the user's own; empty without a value."""
        match entry:
            case None:
                return {}
            case Entry(value=MappingNode(entries=entries)):
                return entries
            case Entry(value=ScalarNode() as scalar) if scalar.missing or scalar.broken:
                return {}
        self.fault(entry.value.location, f"{what}: expected 'key: value' lines")
        return {}

    def section(self, entry: Entry | None, what: str, *, known: Sequence[str]) -> dict[str, Entry]:
        """The entries of a mapping whose keys are busyd's; any other key is a fault."""
        entries = self.mapping(entry, what)
        return self.known_only(entries, what, known=known)

    def known_only(self, entries: Mapping[str, Entry], what: str, *, known: Sequence[str]) -> dict[str, Entry]:
        for key, entry in entries.items():
            if key not in known:
                other = _OTHER_WORDS.get(key.lower().replace("-", "_"))
                hint = f", did you mean '{other}'?" if other in known else did_you_mean(key, known)
                self.fault(entry.location, f"unknown key {quote(key)} in {what}{hint or f'; expected {one_of(known)}'}")
        return {key: entry for key, entry in entries.items() if key in known}

    def value(self, entry: Entry | None, what: str, *, parse: Callable[[str], T], default: T) -> T:
        """One value; `parse` raises ValueError with a message that may be shown."""
        return default if entry is None else self.item(entry.value, what, parse=parse, default=default)

    def item(self, node: Node, what: str, *, parse: Callable[[str], T], default: T) -> T:
        match node:
            case ScalarNode(broken=True):
                return default
            case ScalarNode(text=text) if not node.missing:
                try:
                    return parse(text)
                except ValueError as error:
                    self.fault(node.location, f"{what}: {error}")
            case ScalarNode():
                self.fault(node.location, f"{what}: the value is missing")
            case SequenceNode():
                self.fault(node.location, f"{what}: expected one value, not a list")
            case MappingNode():
                self.fault(node.location, f"{what}: expected one value, not 'key: value' lines")
        return default

    def values(self, entry: Entry | None, what: str, *, parse: Callable[[str], T]) -> list[tuple[SourceLocation, T]]:
        """A list, or a single value instead of a list of one; invalid items are left out."""
        if entry is None or (isinstance(entry.value, ScalarNode) and entry.value.missing):
            return []
        nodes = entry.value.items if isinstance(entry.value, SequenceNode) else (entry.value,)
        values = [(node.location, self.item(node, what, parse=parse, default=None)) for node in nodes]
        return [(location, value) for location, value in values if value is not None]

    def choice(self, entry: Entry | None, what: str, *, options: tuple[T, ...], default: T) -> T:
        """One of a few words: see `parse_choice`."""
        return self.value(entry, what, parse=partial(parse_choice, options=options), default=default)


def folder_of(location: SourceLocation) -> Path:
    """The folder that relative paths written there are relative to."""
    return Path(location.file).parent
