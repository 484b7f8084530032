"""Asks a person questions, one line at a time: on a terminal, or from a pipe that holds the answers."""

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
    """Reads answers; with `accept_defaults`, questions that have a default are not asked.

    On a terminal, an invalid answer is asked for again. From a pipe it ends the command; after the end of the pipe the
    defaults are used.
    """

    def __init__(self, *, accept_defaults: bool) -> None:
        self.person_present = sys.stdin.isatty() and not accept_defaults
        self._accept_defaults = accept_defaults

    def ask(self, question: str, parse: Callable[[str], T], *, default: str | None = None, option: str = "") -> T:
        """The parsed answer. `parse` raises ValueError with a message for a person; `option` would have answered it.

        Raises CommandFailed when there is no usable answer.
        """
        for _ in range(_TRIES):
            try:
                return parse(self._line(question, default, option=option))
            except ValueError as error:
                if not self.person_present:
                    message = f"{error}; nothing was saved"
                    raise CommandFailed(
                        message, fix=f"pass {option}" if option else "", status=ExitStatus.USAGE
                    ) from None
                print(f"  {printable(str(error))}", file=sys.stderr)
        message = f"no valid answer after {_TRIES} attempts; nothing was saved"
        raise CommandFailed(message, fix=f"pass {option}" if option else "")

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

    def _line(self, question: str, default: str | None, *, option: str) -> str:
        if self._accept_defaults:
            if default is None:
                message = f"{question}: there is no default for this; nothing was saved"
                raise CommandFailed(message, fix=f"pass {option}" if option else "", status=ExitStatus.USAGE)
            return default
        sys.stdout.flush()
        shown = f" [{printable(default)}]" if default else ""
        print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not self.person_present:
            print(file=sys.stderr)
        if not line and (self.person_present or default is None):
            message = f"{question}: there are no more answers; nothing was saved"
            raise CommandFailed(message, fix=f"pass {option}" if option else "")
        answer = line.strip()
        if not answer and default is None:
            message = "an answer is required"
            raise ValueError(message)
        return answer or default or ""
