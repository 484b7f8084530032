"""Where a command finds its configuration and state: command line options first, then the standard locations."""

import os
from argparse import Namespace
from pathlib import Path

from busyd.config import Config, find_config, find_state, load_config


def load_settings(arguments: Namespace) -> tuple[Path, Config]:
    """The configuration file and what it says. Raises ConfigFaults, ConfigMissing."""
    path = find_config(arguments.config, os.environ)
    return path, load_config(path, os.environ)


def state_directory(arguments: Namespace, config: Config | None) -> Path:
    """The directory that holds the mirror, the ledger and the encrypted passwords; it need not exist yet."""
    return find_state(arguments.state, config, environment=os.environ)
