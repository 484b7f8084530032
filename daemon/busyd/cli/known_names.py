"""Names that a command is given and the configuration must know: which was meant when it does not."""

import argparse
import os
from collections.abc import Iterable

from busyd.cli.exit_status import CommandFailed
from busyd.cli.installation import Installation
from busyd.config import Config
from busyd.credentials.tokens import ALL_PROFILES
from busyd.spelling import did_you_mean


def config_that_counts(arguments: argparse.Namespace, installation: Installation) -> Config | None:
    """The configuration by which names are checked; None where a state was named and there is no configuration.

    Raises ConfigFaults, ConfigMissing, CommandFailed.
    """
    is_named = arguments.state is not None or bool(os.environ.get("STATE_DIRECTORY"))
    return None if installation.path is None and is_named else installation.config


def require_profile(name: str, config: Config | None) -> None:
    """Raises CommandFailed when there is no such profile; without a configuration, that is not known."""
    if config is not None and name != ALL_PROFILES:
        _require("profile", name, known=config.profiles)


def require_connection(name: str, config: Config) -> None:
    """Raises CommandFailed when there is no such connection."""
    _require("connection", name, known=config.connections)


def _require(kind: str, name: str, *, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        message = f"there is no {kind} {name!r}{did_you_mean(name, names)}"
        fix = f"configured {kind}s: {', '.join(names)}" if names else "create one with `busyd setup`"
        raise CommandFailed(message, fix=fix)
