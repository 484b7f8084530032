"""A payload -> all of its components with all of their properties, for filters. Nothing is interpreted."""

from msgspec import Struct, field

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
