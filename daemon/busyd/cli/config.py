"""`busyd config`: what the configuration says, and what it may say, for people, editors and other programs."""

import argparse
from importlib.resources import files

from busyd.cli.config_show import add_show_options
from busyd.cli.exit_status import ExitStatus


def add_config_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "config",
        help="show what counts and where it is written, or the JSON Schema",
        description="Show the configuration that counts, or describe the file for editors and other programs.",
    )
    what = parser.add_subparsers(title="what to print", metavar="WHAT", required=True)
    show = what.add_parser(
        "show",
        help="what counts, key by key",
        description="Print every key with the value that counts, those of config.d and the defaults included. "
        "Passwords and addresses of feeds are not shown.",
    )
    add_show_options(show)
    schema = what.add_parser(
        "schema",
        help="the JSON Schema",
        description="Print the JSON Schema of the configuration. An editor with a YAML language server then completes"
        " keys and marks errors; `busyd check` says more.",
    )
    schema.set_defaults(run=print_schema)


def print_schema(_: argparse.Namespace) -> int:
    """Print the schema as it is."""
    print(files("busyd.config").joinpath("schema.json").read_text(encoding="utf-8"), end="")
    return ExitStatus.OK
