"""Asking a person, one line at a time: on a terminal, or from a pipe that holds the answers. Knows no subject."""

import sys
from collections.abc import Callable
from typing import Final, TypeVar

from busyd.cli.credential import read_secret
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.terminal import printable
from busyd.credentials import Secret

T = TypeVar("T")

_TRIES: Final = 3


class Questions:
    """Takes answers; with `accept_defaults` nobody is asked what has a default.

    On a terminal a wrong answer is asked for again. From a pipe it ends the command, and where the pipe ends, the
    defaults are taken.
    """

    def __init__(self, *, accept_defaults: bool) -> None:
        self.person_present = sys.stdin.isatty() and not accept_defaults
        self._accept_defaults = accept_defaults

    def ask(self, question: str, parse: Callable[[str], T], *, default: str | None = None, option: str = "") -> T:
        """The parsed answer. `parse` raises ValueError with words for a person; `option` would have answered it.

        Raises CommandFailed when there is no usable answer.
        """
        for _ in range(_TRIES):
            try:
                return parse(self._line(question, default, option))
            except ValueError as error:
                if not self.person_present:
                    raise CommandFailed(str(error), fix=_option_fix(option), status=ExitStatus.USAGE) from None
                print(f"  {printable(str(error))}", file=sys.stderr)
        raise CommandFailed("that is as often as busyd asks", fix="nothing was saved")

    def confirm(self, question: str, *, default: bool) -> bool:
        """Yes or no."""

        def parse(text: str) -> bool:
            word = text.strip().lower()
            if word not in ("y", "yes", "n", "no"):
                raise ValueError("answer y or n")
            return word.startswith("y")

        return self.ask(question, parse, default="y" if default else "n")

    def secret(self, question: str) -> Secret:
        """A password, not shown. Raises CommandFailed when there is none."""
        return read_secret(f"{question}: ")

    def _line(self, question: str, default: str | None, option: str) -> str:
        if self._accept_defaults:
            if default is None:
                message = f"{question}: there is no default for this"
                raise CommandFailed(message, fix=_option_fix(option), status=ExitStatus.USAGE)
            return default
        sys.stdout.flush()
        shown = f" [{printable(default)}]" if default else ""
        print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not self.person_present:
            print(file=sys.stderr)
        if not line and (self.person_present or default is None):
            raise CommandFailed("the answers ended here", fix="nothing was saved")
        answer = line.strip()
        if not answer and default is None:
            message = "an answer is needed here"
            raise ValueError(message)
        return answer or default or ""


def _option_fix(option: str) -> str:
    return f"give {option}; nothing was saved" if option else "nothing was saved"
