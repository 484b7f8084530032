"""`busyd completion`: what a shell needs to complete commands and options, made from the parser itself."""

import argparse
from typing import Final

from busyd.cli.exit_status import ExitStatus

_SHELLS: Final = ("bash", "zsh", "tcsh")


def add_completion_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print the completion of commands and options for a shell",
        description="Print the completion of commands and options for a shell. For bash: `busyd completion bash > "
        "~/.local/share/bash-completion/completions/busyd`; for zsh: `busyd completion zsh > DIR/_busyd`, with a "
        "directory of fpath as DIR. The Debian package has both.",
    )
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=f"one of {', '.join(_SHELLS)}")
    parser.set_defaults(run=print_completion)


def print_completion(arguments: argparse.Namespace) -> int:
    """Print it."""
    import shtab  # with all commands, nothing else needs it

    from busyd.cli.main import build_full_parser

    print(shtab.complete(build_full_parser(), shell=arguments.shell))
    return ExitStatus.OK
