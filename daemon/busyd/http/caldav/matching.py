"""Whether an object matches a filter (RFC 4791 §9.7), its times aside: those are the engine's."""

from collections.abc import Iterable

from busyd.dav.filter import CompFilter, ParamFilter, PropFilter, TextMatch
from busyd.ical.lines import read_parameters, unescape
from busyd.ical.tree import ComponentTree, read_tree


def matches_filter(payload: bytes, wanted: CompFilter) -> bool:
    """Whether some VCALENDAR of the object fits."""
    return _fits(read_tree(payload).inside, wanted)


def _fits(components: Iterable[ComponentTree], wanted: CompFilter) -> bool:
    named = [component for component in components if component.name == wanted.name]
    if not wanted.defined:
        return not named
    return any(
        all(_fits(component.inside, inner) for inner in wanted.components)
        and all(_has_property(component, prop) for prop in wanted.properties)
        for component in named
    )


def _has_property(component: ComponentTree, wanted: PropFilter) -> bool:
    lines = [(parameters, value) for name, parameters, value in component.lines if name == wanted.name]
    if not wanted.defined:
        return not lines
    return any(
        _has_text(unescape(value), wanted.text)
        and all(_has_parameter(parameters, inner) for inner in wanted.parameters)
        for parameters, value in lines
    )


def _has_parameter(parameters: str, wanted: ParamFilter) -> bool:
    value = read_parameters(parameters).get(wanted.name) if parameters else None
    if value is None or not wanted.defined:
        return (value is None) is not wanted.defined
    return _has_text(value, wanted.text)


def _has_text(value: str, wanted: TextMatch | None) -> bool:
    return wanted is None or wanted.matches(value)
