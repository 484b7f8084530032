"""`busyd run`: the daemon itself."""

import argparse
import gc
import logging
import os

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import find_installation
from busyd.config import ConfigFaults, find_file_faults, find_socket_faults
from busyd.errors import BusydError
from busyd.log import first_few, use_format

logger = logging.getLogger(__name__)


def add_run_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run the daemon",
        description="Mirror the configured calendars and answer requests until stopped (SIGTERM, Ctrl-C). SIGHUP "
        "applies a changed configuration.",
    )
    parser.set_defaults(run=run_daemon)


def run_daemon(arguments: argparse.Namespace) -> int:
    """Start the service; returns when it has stopped."""
    installation = find_installation(arguments)
    installation.require_own()
    config = installation.config
    if faults := [*find_file_faults(config), *find_socket_faults(config)]:
        raise ConfigFaults(faults)
    use_format(config.log, os.environ)
    for warning in first_few(config.warnings):
        logger.warning("%s", warning)
    # Nothing allocated during the start is garbage, so collecting would only cost time; the service enables it again.
    gc.disable()
    from busyd.http.aiohttp_package import import_server_alone

    import_server_alone()
    from busyd.service.lifecycle import run_service

    try:
        return run_service(installation.config_path, installation.state, config=config)
    except BusydError:
        raise
    except Exception:
        # Not left to Python: logged, the traceback is an error in the journal, and secrets are taken out of it.
        logger.exception("busyd is stopping because of an internal error")
        return ExitStatus.FAILED
