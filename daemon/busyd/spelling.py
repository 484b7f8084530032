"""What was probably meant by a word that is not among the known ones. Pure."""

import difflib
from collections.abc import Iterable
from typing import Final

_ALIKE: Final = 0.6
"""As `difflib` measures it: of 1, how much two words must have in common."""


def did_you_mean(text: str, known: Iterable[str], *, prefix: str = "") -> str:
    """`, did you mean 'poll'?` for the nearest known word, else an empty text. `prefix` goes in front of the word."""
    folded = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=_ALIKE)
    return f", did you mean '{prefix}{folded[near[0]]}'?" if near else ""
