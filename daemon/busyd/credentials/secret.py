"""A text that cannot be shown by accident, and the shape of Apple's app-specific passwords. Pure values."""

import hmac
import re
from typing import Final, NoReturn, Self

HIDDEN: Final = "***"

_LETTERS: Final = re.compile(r"[A-Za-z]{16}")
_SIGNS: Final = re.compile(r"[^\w.@+/ -]")
_SHORT: Final = 8
_SEPARATORS: Final = re.compile(r"[\s\-\u2010-\u2015]+")


class Secret:
    """A password, token or key. Only `reveal()` returns it, so every use can be found by that name.

    It is hidden in repr, str, every format and f-string, cannot be pickled, and compares in constant time.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The text itself, for the wire and the encrypted store, never for a log or an error."""
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        message = "a secret does not change"
        raise AttributeError(message)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, specification: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_as_bytes(self.reveal()), _as_bytes(other.reveal()))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = "a secret is not pickled"
        raise TypeError(message)


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def looks_app_specific(text: str) -> bool:
    """Whether a text has the shape of an app-specific password: 16 letters, grouped in any way by hyphens or spaces.

    Apple shows `abcd-efgh-ijkl-mnop` but does not document the shape.
    """
    return _LETTERS.fullmatch(_SEPARATORS.sub("", text.strip())) is not None


def shown_name(name: str) -> str:
    """The name of a credential, variable or file for a message; `***` where it may be the password itself.

    People write the password where its name belongs: in the shape of Apple's, or with letters, digits and signs mixed
    as no name is.
    """
    is_mixed = all(any(map(kind, name)) for kind in (str.isdigit, str.isupper, str.islower))
    is_password = len(name) >= _SHORT and (is_mixed or _SIGNS.search(name) is not None)
    return HIDDEN if is_password or looks_app_specific(name) else name


def normalise_app_specific(text: str) -> str:
    """The hyphenated lower-case form of an app-specific password; any other text as it is."""
    letters = _SEPARATORS.sub("", text.strip())
    if _LETTERS.fullmatch(letters) is None:
        return text
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4)).lower()
