"""A payload -> all of its components with all of their properties, and back. Nothing is interpreted."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct, field

from busyd.ical.compose import clean_text, fold
from busyd.ical.lines import all_properties
from busyd.ical.unfolding import unfold

Line = tuple[str, str, str]
"""(upper-case name, raw parameters, raw value)."""
_DEEPEST = 16


class ComponentTree(Struct):
    """One component."""

    name: str
    lines: list[Line] = field(default_factory=list)
    inside: list["ComponentTree"] = field(default_factory=list)


def read_tree(payload: bytes) -> ComponentTree:
    """Everything in a payload, below a component without a name. Never raises, whatever the bytes."""
    root = ComponentTree("")
    path = [root]
    for line in all_properties(unfold(payload)):
        name, _, value = line
        if name == "BEGIN":
            component = ComponentTree(value.strip().upper())
            if len(path) < _DEEPEST:
                path[-1].inside.append(component)
            path.append(component)
        elif name != "END":
            path[-1].lines.append(line)
        elif len(path) > 1:
            path.pop()
    return root


class WantedParts(Protocol):
    """What is wanted of a component (RFC 4791 §9.6.1)."""

    @property
    def properties(self) -> Mapping[str, bool] | None:
        """Upper-case name -> whether its value is wanted too; None for all."""

    @property
    def components(self) -> "Mapping[str, WantedParts] | None":
        """The same by upper-case name; None for all, whole."""


def select_parts(payload: bytes, wanted: WantedParts) -> bytes:
    """Of an object what `wanted` says of its VCALENDAR, which always keeps what makes it one (RFC 5545 §3.6)."""
    tree = read_tree(payload)
    for calendar in tree.inside:
        kept = [line for line in calendar.lines if line[0] in _OF_CALENDAR]
        _select(calendar, wanted)
        if wanted.properties is not None:
            calendar.lines = kept + [line for line in calendar.lines if line[0] not in _OF_CALENDAR]
    return write_tree(tree)


def write_tree(root: ComponentTree) -> bytes:
    """The components below a nameless one as text."""
    lines = (clean_text(line).replace("\n", "") for component in root.inside for line in _lines_of(component))
    return "".join(f"{fold(line)}\r\n" for line in lines).encode()


def _select(component: ComponentTree, wanted: WantedParts) -> None:
    names = wanted.properties
    if names is not None:
        component.lines = [
            (name, parameters, value if names[name] else "")
            for name, parameters, value in component.lines
            if name in names
        ]
    if wanted.components is not None:
        component.inside = [inner for inner in component.inside if inner.name in wanted.components]
        for inner in component.inside:
            _select(inner, wanted.components[inner.name])


def _lines_of(component: ComponentTree) -> Iterator[str]:
    yield f"BEGIN:{component.name}"
    for name, parameters, value in component.lines:
        yield f"{name}{parameters}:{value}"
    for inner in component.inside:
        yield from _lines_of(inner)
    yield f"END:{component.name}"


_OF_CALENDAR = ("VERSION", "PRODID")
