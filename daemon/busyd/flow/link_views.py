"""How each calendar counts for a profile, as handlers show it: its role, and the rules that are not the defaults."""

from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from busyd.availability.policy import Rules
from busyd.state.links import Link

_DEFAULTS: Final = {name: value for name, value in asdict(Rules()).items() if name != "origin"}


class LinkView(Struct, frozen=True, gc=False):
    """One calendar that a profile names, found or not."""

    calendar: str
    role: str
    """`primary`, `conflict` or `blocks`."""
    blocks: bool
    """False for what is only written to."""
    rules: tuple[str, ...]
    """`all_day: free`, for each rule that is not the default."""


def view_link(link: Link) -> LinkView:
    """A link as handlers see it."""
    rules = link.rules
    other = tuple(
        [f"{name}: {_word(getattr(rules, name))}" for name, value in _DEFAULTS.items() if getattr(rules, name) != value]
    )
    return LinkView(link.label, link.role.value, link.blocks, other)


def _word(value: object) -> str:
    """As the configuration spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
