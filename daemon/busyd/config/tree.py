"""YAML files as a tree of texts that remember where they stand. No types: `0123`, `no` and `12:30` stay as written.

Built from the parser's events, not from its objects, so that nothing is resolved, constructed or expanded: YAML 1.1
would make 83, False and 750 of those three, and a mistyped password must not become another one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct, field

from busyd.config.errors import Fault, Place, quote
from busyd.config.permission import why_unreadable
from busyd.os_errors import fault_of, passes_by_itself
from busyd.regular_file import open_regular_file

_MOST_BYTES: Final = 4 * 1024 * 1024
_DEEPEST: Final = 24
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALIAS: Final = "'*' refers to another place, which busyd does not support: put the text in quotes"
_ANCHOR: Final = "'&' names a place, which busyd does not support: put the text in quotes"
_TAG: Final = "'!' gives a type, which busyd does not support: put the text in quotes"
_FROM_THE_START: Final = ("while scanning an alias", "while scanning an anchor", "while scanning a tag")
_SYNTAX: Final = (
    ("while scanning an alias", _ALIAS),
    ("while scanning an anchor", _ANCHOR),
    ("while scanning a tag", _TAG),
    ("while parsing a node", _TAG),
    ("cannot start any token", "a value may not begin with this character unless it is put in quotes"),
    ("mapping values are not allowed", "a ':' does not fit here: check the indentation, or put the value in quotes"),
    ("could not find expected ':'", "a ':' is missing in this line or the one before"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("expected <block end>", "this does not fit the lines before: check the indentation"),
    ("expected ',' or", "a ',' or a closing bracket is missing here"),
    ("escape character", "in double quotes a '\\' begins a special character: use single quotes"),
)
"""What the parser complains of -> what it means for the writer. The parser's own words quote the file: never shown."""


class ScalarNode(Struct, frozen=True):
    """One value as it was written, without its quotes."""

    place: Place
    text: str
    plain: bool = True
    """Written without quotes; an empty plain one is "nothing was written"."""
    broken: bool = False
    """Has its fault already: whoever wants the value takes the default without a word."""

    @property
    def missing(self) -> bool:
        return self.plain and not self.text


class SequenceNode(Struct, frozen=True):
    """A list."""

    place: Place
    items: "tuple[Node, ...]" = ()


class MappingNode(Struct, frozen=True):
    """Keys with values, in the order of the file."""

    place: Place
    entries: "dict[str, Entry]" = field(default_factory=dict)


class Entry(Struct, frozen=True):
    """One `key: value`; `place` is the key's."""

    place: Place
    value: "Node"


Node = ScalarNode | SequenceNode | MappingNode


class Unreadable(Exception):
    """A file that gives no tree at all; carries its one fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_tree(path: Path, faults: list[Fault]) -> MappingNode:
    """Read one file; faults that leave the rest readable are added to `faults`.

    Raises Unreadable, and TryAgain when the disk does not let us read it.
    """
    start = Place(str(path))
    text = _decode(_read_bytes(path, start), start)
    try:
        nodes = _Builder(start.file, faults).build(yaml.parse(text, Loader=_loader()))
    except yaml.YAMLError as error:
        raise Unreadable(_explain_syntax(text, start, error)) from None
    if not nodes:
        raise Unreadable(Fault(start, "the file is empty: it needs at least 'connections' and 'profiles'"))
    if not isinstance(nodes[0], MappingNode):
        message = "expected 'key: value' lines at the top, such as 'connections:' and 'profiles:'"
        raise Unreadable(Fault(nodes[0].place, message))
    return nodes[0]


def merge_trees(base: MappingNode, extra: MappingNode, faults: list[Fault], *, within: str = "") -> MappingNode:
    """`base` with the keys of `extra`: mappings merge by key, anything else written twice is a fault."""
    entries = dict(base.entries)
    for key, entry in extra.entries.items():
        before = entries.get(key)
        if before is None or _says_nothing(before.value):
            entries[key] = entry
        elif isinstance(before.value, MappingNode) and isinstance(entry.value, MappingNode):
            merged = merge_trees(before.value, entry.value, faults, within=f"{within}{key}.")
            entries[key] = Entry(before.place, merged)
        elif not _says_nothing(entry.value):
            faults.append(Fault(entry.place, f"{within}{key} is already set at {before.place}"))
    return MappingNode(base.place, entries)


def _says_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.missing


def _read_bytes(path: Path, start: Place) -> bytes:
    try:
        with open_regular_file(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(Fault(start, "there is no such file")) from None
    except IsADirectoryError:
        raise Unreadable(Fault(start, "this is a directory, not a file")) from None
    except PermissionError:
        raise Unreadable(Fault(start, why_unreadable(path))) from None
    except OSError as error:
        if passes_by_itself(error):
            raise fault_of(error, f"cannot read {path}") from None
        reason = f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"
        raise Unreadable(Fault(start, reason)) from None
    if len(content) > _MOST_BYTES:
        raise Unreadable(Fault(start, "the file is larger than 4 MiB: this is no configuration"))
    return content


def _decode(content: bytes, start: Place) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(Fault(start, "the file is saved as UTF-16: save it as UTF-8"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        head = content[: error.start].decode(errors="replace")
        raise Unreadable(Fault(_place_of(head, len(head), start), "this is not text in UTF-8")) from None
    if found := _UNPRINTABLE.search(text):
        message = f"a character that may not stand in a configuration, U+{ord(found.group()):04X}"
        raise Unreadable(Fault(_place_of(text, found.start(), start), message))
    return text


def _place_of(text: str, offset: int, start: Place) -> Place:
    return Place(start.file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _explain_syntax(text: str, start: Place, error: yaml.YAMLError) -> Fault:
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
        # Where the thing begins, not where the parser gave up.
        mark = getattr(error, "context_mark", None) or mark
    place = Place(start.file, mark.line + 1, mark.column + 1) if mark is not None else start
    lines = text.split("\n")
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Fault(place, "a tab stands in the indentation: use blanks")
    for words, meaning in _SYNTAX:
        if words in problem:
            return Fault(place, meaning)
    return Fault(place, "this is not YAML: check indentation, colons and quotes")


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
    """Events -> nodes. Its own stack, so that depth is a fault and not the end of Python's."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
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
                    self._fault(node.place, "a second document ('---') begins here: one file holds one")
                elif not (isinstance(node, ScalarNode) and node.missing):
                    nodes.append(node)
        return nodes

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event]) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            self._fault(place, _ALIAS)
            return ScalarNode(place, "", broken=True)
        if getattr(event, "anchor", None) is not None:
            self._fault(place, _ANCHOR)
        if (tag := getattr(event, "tag", None)) is not None and tag != "!":
            self._fault(place, _TAG)
        if isinstance(event, yaml.ScalarEvent):
            return ScalarNode(place, event.value, plain=not event.style)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable(Fault(place, f"nested more than {_DEEPEST} levels deep"))
        node: Node = (
            self._sequence(place, events)
            if isinstance(event, yaml.SequenceStartEvent)
            else self._mapping(place, events)
        )
        self._depth -= 1
        return node

    def _sequence(self, place: Place, events: Iterator[yaml.Event]) -> SequenceNode:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events))
        return SequenceNode(place, tuple(items))

    def _mapping(self, place: Place, events: Iterator[yaml.Event]) -> MappingNode:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events)
            value = self._node(next(events), events)
            if not isinstance(key, ScalarNode):
                self._fault(key.place, "a key must be a single word")
            elif key.text in entries:
                first = entries[key.text].place
                self._fault(key.place, f"{quote(key.text)} is written twice, first in line {first.line}")
            elif key.text == "<<":
                self._fault(key.place, "'<<' merges another place, which busyd does not support")
            else:
                entries[key.text] = Entry(key.place, value)
        return MappingNode(place, entries)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark is not None else Place(self._file)

    def _fault(self, place: Place, message: str) -> None:
        self._faults.append(Fault(place, message))
