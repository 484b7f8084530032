"""The rules of availability as people write them, in the configuration or after `--rules`: the text of one rule in, its
value out.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, get_args, get_type_hints

from busyd.availability.policy import Rules
from busyd.config.parsers import parse_choice, parse_flag


def _parser_of(hint: Any) -> Callable[[str], Any]:
    return parse_flag if hint is bool else partial(parse_choice, options=get_args(hint))


RULES: Final[Mapping[str, Callable[[str], Any]]] = {
    name: _parser_of(hint) for name, hint in get_type_hints(Rules).items() if name != "origin"
}
"""Name of a rule, as in `Rules` -> its parser, which raises ValueError with a message that may be shown."""
