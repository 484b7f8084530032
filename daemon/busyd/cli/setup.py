"""`busyd setup`: connects an account interactively, and ends with a service that runs and answers."""

import argparse
import os
import pwd
from pathlib import Path
from typing import Final

from busyd.cli.account_options import add_account_options
from busyd.cli.account_setup import connect_account
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import SERVICE, find_installation
from busyd.cli.questions import Questions
from busyd.cli.service_units import (
    has_system_unit,
    has_user_manager,
    start_service,
    system_unit_is_enabled,
    try_out,
    write_user_unit,
)
from busyd.cli.setup_file import ConfigTarget
from busyd.config import load_config
from busyd.config.load import SYSTEM_CONFIG, own_state

_FOR: Final = ("system", "user", "none")


def add_setup_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "setup",
        help="connect an account, step by step",
        description="Connect an iCloud account, another CalDAV server or a calendar feed: asks for what is needed, "
        "tries the login, lists the calendars, and writes the configuration and the encrypted password. Nothing is "
        "saved unless the login works. Answers can be piped in, one per line. As root, on a machine with the service, "
        "it then enables and starts that; as another user, a service of that user's own.",
    )
    add_account_options(parser)
    parser.add_argument("--service", choices=_FOR, help="which service is enabled and started (default: asks)")
    parser.set_defaults(run=set_up)


def set_up(arguments: argparse.Namespace) -> int:
    """Connect an account, start the service, and ask it something; or say what comes next."""
    questions = Questions(accept_defaults=arguments.yes)
    wanted = _service_wanted(arguments, questions)
    if wanted == "system":
        arguments.config, arguments.state = arguments.config or SYSTEM_CONFIG, arguments.state or SERVICE.state
        _have_state(SERVICE.state)
    elif wanted == "user" or (not wanted and _has_idle_service(arguments)):
        arguments.state = arguments.state or own_state(os.environ)
    installation = find_installation(arguments)
    place = connect_account(arguments, installation)
    if isinstance(place, int):
        return place
    _tell_of_hours(place)
    if not wanted and questions.person_present and has_user_manager() and os.geteuid() != 0:
        is_wanted = questions.confirm("Start busyd now, and whenever you log in", default=True)
        wanted = "user" if is_wanted else "none"
    if wanted not in ("system", "user"):
        print(f"next: {_next(place)}")
        return ExitStatus.OK
    if wanted == "user":
        print(f"using {write_user_unit(dict(os.environ))}")
    start_service(user=wanted == "user", is_running=installation.is_in_use)
    return try_out(arguments, _newest_profile(place))


def _service_wanted(arguments: argparse.Namespace, questions: Questions) -> str:
    """`system`, `user` or `none`; empty where that is asked later, or not at all."""
    if arguments.service is not None:
        chosen: str = arguments.service
        if chosen == "system" and os.geteuid() != 0:
            raise CommandFailed("only root can set up this machine's service", fix="use `sudo busyd setup`")
        return chosen
    if _is_named(arguments) or os.geteuid() != 0 or not has_system_unit():
        return ""
    is_wanted = questions.confirm("Set this up for this machine's service (no: only for root)", default=True)
    return "system" if is_wanted else "none"


def _is_named(arguments: argparse.Namespace) -> bool:
    return arguments.config is not None or arguments.state is not None or "BUSYD_CONFIG" in os.environ


def _has_idle_service(arguments: argparse.Namespace) -> bool:
    """Whether this machine's service is installed and not set up, so that a user's setup cannot be meant for it."""
    return not _is_named(arguments) and os.geteuid() != 0 and has_system_unit() and not system_unit_is_enabled()


def _have_state(state: Path) -> None:
    """Have the state directory, as systemd would make it at the first start. Raises CommandFailed."""
    try:
        user = pwd.getpwnam(SERVICE.user)
    except KeyError:
        message = f"there is no user {SERVICE.user} for the service"
        raise CommandFailed(
            message, fix="install busyd as a service first (see the README), or pass --service none"
        ) from None
    if not os.path.lexists(state):
        state.mkdir(mode=0o700, parents=True)
        os.chown(state, user.pw_uid, user.pw_gid)


def _tell_of_hours(place: ConfigTarget) -> None:
    """A new profile has none, and nobody may want an appointment at night."""
    before = place.config.profiles if place.config is not None else {}
    for name, profile in load_config(place.main, os.environ).profiles.items():
        if name not in before and profile.hours is None:
            print(f"no working hours are set: slots are offered at any hour (set `hours:` of the profile {name})")


def _newest_profile(place: ConfigTarget) -> str | None:
    """The profile to ask about: one that this setup has added, else any."""
    before = place.config.profiles if place.config is not None else {}
    now = load_config(place.main, os.environ).profiles
    return next((name for name in now if name not in before), next(iter(now), None))


def _next(place: ConfigTarget) -> str:
    if place.config is not None:
        start = "systemctl start busyd" if place.main == SYSTEM_CONFIG else "busyd run"
        return f"`busyd reload` if the daemon is running, otherwise `{start}`"
    if place.main == SYSTEM_CONFIG:
        return "`systemctl enable --now busyd`"
    service = f"to set up the system service instead, pass `--config {SYSTEM_CONFIG} --state {SERVICE.state}`"
    return f"`busyd run` ({service})"
