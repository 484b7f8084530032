"""YAML files as a tree of texts with their locations. No types: `0123`, `no` and `12:30` stay as written.

Built from the parser's events, not from its objects, so that nothing is resolved, constructed or expanded: YAML 1.1
would turn those three into 83, False and 750, and a password must stay exactly as it was written.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct, field

from busyd.config.errors import ConfigFault, SourceLocation, quote
from busyd.config.permission import why_unreadable
from busyd.os_errors import fault_of, passes_by_itself
from busyd.regular_file import open_regular_file

_MOST_BYTES: Final = 4 * 1024 * 1024
_DEEPEST: Final = 24
_GROW: Final = frozenset({"conflicts", "addresses", "hosts", "cors"})
"""Keys whose lists a further file adds to."""
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALIAS: Final = "'*' is a YAML alias, which busyd does not support; put the text in quotes"
_ANCHOR: Final = "'&' is a YAML anchor, which busyd does not support; put the text in quotes"
_TAG: Final = "'!' is a YAML tag, which busyd does not support; put the text in quotes"
_FROM_THE_START: Final = ("while scanning an alias", "while scanning an anchor", "while scanning a tag")
_SYNTAX: Final = (
    ("while scanning an alias", _ALIAS),
    ("while scanning an anchor", _ANCHOR),
    ("while scanning a tag", _TAG),
    ("while parsing a node", _TAG),
    ("cannot start any token", "a value cannot start with this character unless it is quoted"),
    ("mapping values are not allowed", "unexpected ':'; check the indentation, or put the value in quotes"),
    ("could not find expected ':'", "a ':' is missing in this line or the previous one"),
    ("unexpected end of stream", "the quote opened here is never closed"),
    ("expected <block end>", "this line does not match the previous ones; check the indentation"),
    ("expected ',' or", "a ',' or a closing bracket is missing"),
    ("escape character", "in double quotes, '\\' starts an escape sequence; use single quotes"),
)
"""The parser's message -> ours. The parser's own messages quote the file, so they are never shown."""
_IPV6: Final = re.compile(r"(?<!['\"])\[[0-9a-fA-F]*:[0-9a-fA-F:.]*\]:[0-9]")
"""An IPv6 address with a port and without quotes, which YAML takes for a list."""


class ScalarNode(Struct, frozen=True):
    """One value as written, without its quotes."""

    location: SourceLocation
    text: str
    plain: bool = True
    """Written without quotes; an empty plain scalar means that the value is missing."""
    broken: bool = False
    """Its fault has been reported already: whoever reads the value silently uses the default."""

    @property
    def missing(self) -> bool:
        return self.plain and not self.text


class SequenceNode(Struct, frozen=True):
    """A list."""

    location: SourceLocation
    items: "tuple[Node, ...]" = ()


class MappingNode(Struct, frozen=True):
    """Keys with values, in the order of the file."""

    location: SourceLocation
    entries: "dict[str, Entry]" = field(default_factory=dict)


class Entry(Struct, frozen=True):
    """One `key: value`; `location` is that of the key."""

    location: SourceLocation
    value: "Node"


Node = ScalarNode | SequenceNode | MappingNode


class Unreadable(Exception):
    """A file from which no tree can be built; carries its one fault."""

    def __init__(self, fault: ConfigFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_tree(path: Path, faults: list[ConfigFault]) -> MappingNode:
    """Read one file; faults that leave the rest readable are added to `faults`.

    Raises Unreadable, and TryAgain on a temporary disk error.
    """
    start = SourceLocation(str(path))
    text = _decode(_read_bytes(path, start), start)
    try:
        nodes = _Builder(start.file, faults).build(yaml.parse(text, Loader=_loader()))
    except yaml.YAMLError as error:
        raise Unreadable(_explain_syntax(text, start, error=error)) from None
    if not nodes:
        raise Unreadable(ConfigFault(start, "the file is empty; it needs at least 'connections' and 'profiles'"))
    if not isinstance(nodes[0], MappingNode):
        message = "expected 'key: value' lines at the top, such as 'connections:' and 'profiles:'"
        raise Unreadable(ConfigFault(nodes[0].location, message))
    return nodes[0]


def merge_trees(base: MappingNode, extra: MappingNode, *, faults: list[ConfigFault], within: str = "") -> MappingNode:
    """`base` with the keys of `extra`: mappings merge by key, and lists that only grow one after the other.

    Any other key that is set twice is a fault.
    """
    entries = dict(base.entries)
    for key, entry in extra.entries.items():
        before = entries.get(key)
        if before is None or _says_nothing(before.value):
            entries[key] = entry
        elif isinstance(before.value, MappingNode) and isinstance(entry.value, MappingNode):
            merged = merge_trees(before.value, entry.value, faults=faults, within=f"{within}{key}.")
            entries[key] = Entry(before.location, merged)
        elif key in _GROW and not isinstance(before.value, MappingNode) and not isinstance(entry.value, MappingNode):
            both = SequenceNode(before.value.location, (*_items(before.value), *_items(entry.value)))
            entries[key] = Entry(before.location, both)
        elif not _says_nothing(entry.value):
            faults.append(ConfigFault(entry.location, f"{within}{key} is already set at {before.location}"))
    return MappingNode(base.location, entries)


def _items(node: ScalarNode | SequenceNode) -> tuple[Node, ...]:
    if isinstance(node, SequenceNode):
        return node.items
    return () if node.missing else (node,)


def _says_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.missing


def _read_bytes(path: Path, start: SourceLocation) -> bytes:
    try:
        with open_regular_file(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(ConfigFault(start, "there is no such file")) from None
    except IsADirectoryError:
        raise Unreadable(ConfigFault(start, "this is a directory, not a file")) from None
    except PermissionError:
        raise Unreadable(ConfigFault(start, why_unreadable(path, may_hold_password=True))) from None
    except OSError as error:
        if passes_by_itself(error):
            raise fault_of(error, f"cannot read {path}") from None
        reason = f"cannot read the file: {(error.strerror or 'unknown reason').lower()}"
        raise Unreadable(ConfigFault(start, reason)) from None
    if len(content) > _MOST_BYTES:
        raise Unreadable(ConfigFault(start, "the file is larger than 4 MiB, too large for a configuration"))
    return content


def _decode(content: bytes, start: SourceLocation) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(ConfigFault(start, "the file is encoded as UTF-16; save it as UTF-8"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        head = content[: error.start].decode(errors="replace")
        raise Unreadable(
            ConfigFault(_location_of(head, len(head), start=start), "the file is not valid UTF-8")
        ) from None
    if match := _UNPRINTABLE.search(text):
        message = f"invalid character U+{ord(match.group()):04X}"
        raise Unreadable(ConfigFault(_location_of(text, match.start(), start=start), message))
    return text


def _location_of(text: str, offset: int, *, start: SourceLocation) -> SourceLocation:
    return SourceLocation(start.file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _explain_syntax(text: str, start: SourceLocation, *, error: yaml.YAMLError) -> ConfigFault:
    if _deepest_flow(text) <= _DEEPEST:  # deeper than that the plain parser takes minutes
        try:
            # The two parsers word their errors differently: messages always come from the one that is always there.
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        except yaml.YAMLError as plain_error:
            error = plain_error
    mark = getattr(error, "problem_mark", None)
    problem = f"{getattr(error, 'context', None)}: {getattr(error, 'problem', None)}"
    if problem.startswith(_FROM_THE_START) or "unexpected end of stream" in problem:
        # Where the construct begins, not where the parser gave up.
        mark = getattr(error, "context_mark", None) or mark
    location = SourceLocation(start.file, mark.line + 1, mark.column + 1) if mark is not None else start
    lines = text.split("\n")
    line = lines[location.line - 1] if location.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return ConfigFault(location, "tab in the indentation; use spaces")
    if _IPV6.search(line):
        return ConfigFault(location, "an address that begins with a bracket must be in quotes, such as '[::1]:8377'")
    for words, meaning in _SYNTAX:
        if words in problem:
            return ConfigFault(location, meaning)
    return ConfigFault(location, "this is not valid YAML; check indentation, colons and quotes")


def _deepest_flow(text: str) -> int:
    """How many brackets are open at once at the most; those inside quotes count, too."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        deepest = max(deepest, depth)
    return deepest


def _loader() -> Any:
    # libyaml is 20 times faster; the same events come out of both.
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Builder:
    """Events -> nodes. Counts its depth, so that deep nesting is a fault and not a RecursionError."""

    def __init__(self, file: str, faults: list[ConfigFault]) -> None:
        self._file = file
        self._faults = faults
        self._depth = 0

    def build(self, events: Iterator[yaml.Event]) -> list[Node]:
        """The documents of the file; more than one is a fault."""
        nodes: list[Node] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                node = self._node(next(events), events)
                if nodes:
                    self._fault(node.location, "a second document ('---') starts here; a file can hold only one")
                elif not (isinstance(node, ScalarNode) and node.missing):
                    nodes.append(node)
        return nodes

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event]) -> Node:
        location = self._location(event)
        if isinstance(event, yaml.AliasEvent):
            self._fault(location, _ALIAS)
            return ScalarNode(location, "", broken=True)
        if getattr(event, "anchor", None) is not None:
            self._fault(location, _ANCHOR)
        if (tag := getattr(event, "tag", None)) is not None and tag != "!":
            self._fault(location, _TAG)
        if isinstance(event, yaml.ScalarEvent):
            return ScalarNode(location, event.value, plain=not event.style)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable(ConfigFault(location, f"nested more than {_DEEPEST} levels deep"))
        node: Node = (
            self._sequence(location, events)
            if isinstance(event, yaml.SequenceStartEvent)
            else self._mapping(location, events)
        )
        self._depth -= 1
        return node

    def _sequence(self, location: SourceLocation, events: Iterator[yaml.Event]) -> SequenceNode:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events))
        return SequenceNode(location, tuple(items))

    def _mapping(self, location: SourceLocation, events: Iterator[yaml.Event]) -> MappingNode:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events)
            value = self._node(next(events), events)
            if not isinstance(key, ScalarNode):
                self._fault(key.location, "a key must be a single word")
            elif key.text in entries:
                first = entries[key.text].location
                self._fault(key.location, f"{quote(key.text)} is set twice, first in line {first.line}")
            elif key.text == "<<":
                self._fault(key.location, "'<<' is a YAML merge key, which busyd does not support")
            else:
                entries[key.text] = Entry(key.location, value)
        return MappingNode(location, entries)

    def _location(self, event: yaml.Event) -> SourceLocation:
        mark = event.start_mark
        return (
            SourceLocation(self._file, mark.line + 1, mark.column + 1)
            if mark is not None
            else SourceLocation(self._file)
        )

    def _fault(self, location: SourceLocation, message: str) -> None:
        self._faults.append(ConfigFault(location, message))
