"""Bytes -> unfolded text (RFC 5545 §3.1), one line a property, whatever the line ends, folds and encoding."""

import re
from typing import Final

PARAMETERS: Final = r"(?:;(?:[^\":\n]++|\"[^\"\n]*+\")*+|;[^:\n]*+)"
"""The parameters of a content line, as a pattern."""
_LONE_CR: Final = re.compile(rb"\r(?!\n)")
_BLANK_LINES: Final = re.compile(rb"\n\n++")
_STRANGE: Final = re.compile(rb"\n(?![ \t]|[A-Z0-9-]++[;:]|\Z)")
"""An empty line, or one that does not look like a property in capital letters: such a text needs the slower pattern."""
_MISSED_FOLD: Final = re.compile(
    rb"(\n[^\n]{70,}+)\n(?![ \t\n]|[A-Za-z0-9-]++(?:[ \t]*+" + PARAMETERS.encode() + rb")?:|\Z)"
)
_WIDE: Final = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"B\0E\0G\0I\0N\0", "utf-16-le"),
    (b"\0B\0E\0G\0I\0N", "utf-16-be"),
)


def unfold(payload: bytes) -> str:
    """The text with one line per property, line feeds only, and a line feed before the first and after the last line.

    A fold may split a UTF-8 character, so bytes are unfolded before they are decoded. A line that is not UTF-8 is
    read as cp1252, that line only.
    """
    return unfold_and_look(payload)[0]


def narrow(payload: bytes) -> bytes:
    """The text in UTF-8 where it is in UTF-16, with a mark that says so or without; else as it is."""
    coding = next((coding for mark, coding in _WIDE if payload.startswith(mark)), "")
    if coding:
        wide = payload.decode(coding, "replace")
        if "BEGIN:" in wide.upper():  # else the mark lies
            return wide.encode("utf-8", "replace")
    return payload


def is_wide(payload: bytes) -> bool:
    """Whether the text is in UTF-16."""
    return narrow(payload) is not payload


def unfold_and_look(payload: bytes) -> tuple[str, bool]:
    """The text, and whether every line of it starts with a name in capital letters."""
    payload = narrow(payload)
    # Removing a character is much cheaper than replacing two with one, and split and join are cheaper than replace.
    if _LONE_CR.search(payload):
        payload = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    else:
        payload = payload.replace(b"\r", b"")
    payload = payload.removeprefix(b"\xef\xbb\xbf")
    payload = b"\n%b" % payload if payload.endswith(b"\n") else b"\n%b\n" % payload
    is_plain = not _STRANGE.search(payload)
    if not is_plain:
        payload = _BLANK_LINES.sub(b"\n", payload)
        payload = _MISSED_FOLD.sub(rb"\1", payload)
    payload = b"".join(payload.split(b"\n "))
    if b"\t" in payload:
        payload = payload.replace(b"\n\t", b"")
    try:
        return payload.decode(), is_plain
    except UnicodeDecodeError:
        return "\n".join(map(_decode_line, payload.split(b"\n"))), is_plain


def _decode_line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
