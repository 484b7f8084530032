"""The command line: finds the command, imports only that one, runs it, and turns errors into messages and a status."""

import argparse
import difflib
import importlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import busyd
from busyd.cli.exit_status import ExitStatus, UsageError, status_of
from busyd.cli.terminal import print_error
from busyd.errors import BusydError
from busyd.spelling import did_you_mean

COMMANDS: Final = {
    "run": "run the daemon",
    "setup": "connect an account, step by step",
    "check": "check the configuration",
    "config": "show what counts and where it is written, or the JSON Schema",
    "calendars": "list the calendars of all connections",
    "freebusy": "show when a profile is busy",
    "slots": "list the open slots of a profile, or of several together",
    "book": "write an appointment to the primary calendar",
    "appointments": "list the appointments of a profile",
    "move": "move an appointment to another time",
    "cancel": "cancel an appointment",
    "hold": "keep a slot for some minutes, or give it back",
    "block": "mark time as busy by hand: add, list, remove",
    "explain": "show why a profile is busy or free",
    "why": "show since when a moment is busy or free, and what it was before",
    "changes": "show what became busy or free, and follow it",
    "busy": "compute the busy time of iCalendar files, without configuration or network",
    "sync": "poll the servers now",
    "problems": "list events that are not understood, and accept those that do not matter",
    "connection": "manage connected accounts: add, list, remove",
    "credential": "manage stored passwords: set, list, remove, rotate",
    "token": "manage access tokens: add, list, revoke",
    "webhook": "manage webhooks: add, list, remove, rotate, test, replay",
    "profile": "set up a calendar app to show a profile",
    "reload": "apply a changed configuration to the running daemon",
    "open": "open the web page, logged in",
    "status": "show the state of every connection and calendar",
    "doctor": "find out what is wrong, in a report that is safe to share",
    "mcp": "offer tools to an assistant (Model Context Protocol)",
    "backup": "write everything that cannot be read again to one file",
    "restore": "put a backup in place, while no daemon runs",
    "migrate-store": "move what is stored to a PostgreSQL database, or back",
    "completion": "print the completion of commands and options for a shell",
    "record": "record redacted exchanges with a server, for a bug report or a test",
}
"""In the order of the help. `busyd.cli.NAME` has `add_NAME_command(subparsers)`, with _ for -, which sets `run` on its
parser: a function that takes the parsed arguments and returns the exit status."""

GLOBAL_OPTIONS: Final = ("config", "state", "verbose")
_NEGATIVE: Final = re.compile(r"-\d\w*|-\d*\.\d+", re.ASCII)
_WITH_VALUE: Final = ("--config", "--state")
_HELP: Final = ("-h", "--help")


def run_command_line(argv: Sequence[str]) -> int:
    """Run one command and return its exit status. Only a bug in busyd leaves as an exception."""
    try:
        status = _run(list(argv))
        sys.stdout.flush()
    except BusydError as error:
        print_error(error)
        return status_of(error)
    except SystemExit as ended:
        # argparse ends this way after --help and --version.
        return ended.code if isinstance(ended.code, int) else ExitStatus.OK
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone away; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.BROKEN_PIPE
    return status


def _run(argv: list[str]) -> int:
    command = find_command(argv)
    parser = build_parser(command) if command else build_parser()
    if command is None and not {*_HELP, "--version"} & set(argv):
        parser.print_help(sys.stderr)
        return ExitStatus.USAGE
    arguments = parser.parse_args(argv)
    for name in GLOBAL_OPTIONS:
        if not hasattr(arguments, name):
            setattr(arguments, name, None)
    if command != "busy":
        from busyd.log import set_up_logging

        level = logging.INFO if command == "run" else logging.WARNING
        set_up_logging(verbose=bool(arguments.verbose), environment=os.environ, level=level)
    status: int = arguments.run(arguments)
    return status


def find_command(argv: Sequence[str]) -> str | None:
    """The first word that is neither an option nor its value; None where help comes before it.

    Raises UsageError when there is no such command.
    """
    words = iter(argv)
    for word in words:
        if word in _HELP:
            return None
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            if word in COMMANDS:
                return word
            message = f"unknown command {word!r}{did_you_mean(word, COMMANDS)}"
            raise UsageError(message, program="busyd")
    return None


def build_full_parser() -> argparse.ArgumentParser:
    """A parser that knows every command in full: what man pages and completion are made from."""
    return build_parser(*COMMANDS)


def build_parser(*chosen: str) -> argparse.ArgumentParser:
    """A parser of the chosen commands; without any, one that knows all by name, for the help."""
    parser = _Parser(
        prog="busyd",
        description="When is this person busy? A local CalDAV proxy and availability daemon.",
        epilog="Run `busyd COMMAND --help` for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"busyd {busyd.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name in chosen:
        own = name.replace("-", "_")
        module = importlib.import_module(f"busyd.cli.{own}")
        getattr(module, f"add_{own}_command")(subparsers)
    if not chosen:
        for name, summary in COMMANDS.items():
            subparsers.add_parser(name, help=summary, add_help=False)
    return parser


class _Parser(argparse.ArgumentParser):
    """Every parser, also those of commands and subcommands: takes the global options, and reports an error in one
    line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        # `--start -1d`: what looks like a time that has passed is a value, as a negative number is to argparse.
        self._negative_number_matcher = _NEGATIVE
        # SUPPRESS: an option that is absent after the command must not undo the one in front of it.
        group = self.add_argument_group("global options", argument_default=argparse.SUPPRESS)
        group.add_argument("--config", metavar="FILE", type=Path, help="the configuration file")
        group.add_argument("--state", metavar="DIR", type=Path, help="the state directory")
        group.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="log more")

    def error(self, message: str) -> NoReturn:
        if message.endswith(" required: ACTION") and self._subparsers is not None:
            choices = [name for action in self._subparsers._group_actions for name in action.choices or ()]
            message = f"say what to do: {', '.join(choices)}"
        raise UsageError(message, program=self.prog)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's own, but an unknown option is reported by the parser that knows the valid ones."""
        arguments, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._explain_unknown(unknown[0].partition("=")[0]))
        return arguments, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            message = f"{value!r} is not one of {', '.join(known)}{did_you_mean(str(value), known)}"
            raise argparse.ArgumentError(action, message)

    def _explain_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        near = difflib.get_close_matches(word, self._option_string_actions, n=1)
        return f"unknown option {word}{f', did you mean {near[0]}?' if near else ''}"
