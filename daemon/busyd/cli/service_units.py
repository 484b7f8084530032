"""busyd under systemd, as `busyd setup` leaves it: the machine's service or that of a user, enabled and tried out."""

import getpass
import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from busyd.cli.daemon_client import DaemonClient, open_client, profile_path
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import user_unit_folder
from busyd.cli.terminal import print_note

SYSTEM_UNITS: Final = (Path("/etc/systemd/system/busyd.service"), Path("/lib/systemd/system/busyd.service"))
_OF_PACKAGE: Final = Path("/usr/lib/systemd/user/busyd.service")
_BOOTED: Final = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""
_LINGERING: Final = Path("/var/lib/systemd/linger")
"""A file for each user whose services run also while that user is logged out (loginctl(1))."""
_ENABLED: Final = Path("/etc/systemd/system/multi-user.target.wants/busyd.service")
_TIMEOUT: Final = 60.0
"""Seconds until a first answer is no longer waited for; a large account takes longer to read."""
_PAUSE: Final = 0.5
_UNIT: Final = """\
# busyd as a user's own service. Configuration and state are in ~/.config/busyd and ~/.local/state/busyd.
# It runs while the user is logged in; `loginctl enable-linger` has it run always.
[Unit]
Description=CalDAV proxy and availability daemon
Documentation=man:busyd(1)
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -I -B -X faulthandler -m busyd run
ExecReload={python} -I -B -m busyd reload
KillMode=mixed
TimeoutStartSec=60s
TimeoutStopSec=30s
WatchdogSec=60s
WatchdogSignal=SIGABRT
Restart=on-failure
RestartSec=100ms
RestartPreventExitStatus=64 78 200 203
OOMPolicy=continue
UMask=0077
Environment=PYTHONUNBUFFERED=1 LANG=C.UTF-8
Environment=MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_TRIM_THRESHOLD_=1048576
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
LimitNOFILE=4096
LimitCORE=0
MemoryMax=512M

[Install]
WantedBy=default.target
"""


def has_system_unit() -> bool:
    """Whether this machine has systemd, and busyd installed as a service."""
    return _BOOTED.is_dir() and any(unit.exists() for unit in SYSTEM_UNITS)


def system_unit_is_enabled() -> bool:
    """Whether busyd is this machine's service, as far as everybody can see."""
    return os.path.lexists(_ENABLED)


def has_user_manager() -> bool:
    """Whether this user has a systemd of their own."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and Path(runtime, "systemd").is_dir() and shutil.which("systemctl") is not None


def render_user_unit(python: str) -> str:
    """The unit of a user, for this interpreter."""
    return _UNIT.format(python=python)


def write_user_unit(environment: dict[str, str]) -> Path:
    """Have the unit in the user's directory, unless the package has one. Raises CommandFailed."""
    if _OF_PACKAGE.exists():
        return _OF_PACKAGE
    unit = user_unit_folder(environment) / "busyd.service"
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(render_user_unit(sys.executable))
    except OSError as error:
        message = f"cannot write {unit}: {(error.strerror or 'access denied').lower()}"
        raise CommandFailed(message, fix="run `busyd run` instead") from None
    return unit


def start_service(*, user: bool, is_running: bool) -> None:
    """Enable and start it; one that runs takes the changed configuration instead. Raises CommandFailed."""
    systemctl = ["systemctl", *(["--user"] if user else [])]
    what = "the service of this user" if user else "the service of this machine"
    _call([*systemctl, "daemon-reload"], what)
    _call([*systemctl, "enable", "busyd.service"], what)
    _call([*systemctl, "reload" if is_running else "start", "busyd.service"], what)
    print(f"{what} is enabled, and runs")
    if user and not (_LINGERING / getpass.getuser()).exists():
        print_note(f"it stops when you log out; `sudo loginctl enable-linger {getpass.getuser()}` keeps it running")


def _call(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [""])[0] if done is not None else "it did not answer"
        message = f"`{' '.join(command)}` failed: {said}"
        see = f"`journalctl {'--user ' if '--user' in command else ''}-u busyd -p err` says why {what} does not start"
        raise CommandFailed(message, fix=f"the account is connected; {see}")


def try_out(arguments: Namespace, profile: str | None) -> ExitStatus:
    """Ask the daemon that was just started about a profile, and say what it answers."""
    if profile is None:
        return ExitStatus.OK
    print_note(f"waiting until the calendars of {profile} have been read ...")
    until, answer = time.monotonic() + _TIMEOUT, None
    while time.monotonic() < until:
        try:
            client, _ = open_client(arguments)
            answer = _ask(client, profile)
        except CommandFailed as error:
            if error.status not in (ExitStatus.TRY_AGAIN, ExitStatus.REMOTE_UNAVAILABLE):
                raise
        if answer is not None and answer.get("complete"):
            count = len(answer.get("busy") or [])
            times = "once" if count == 1 else f"{count} times"
            print(f"it answers: {profile} is busy {times} in the next 14 days (`busyd freebusy {profile}` shows when)")
            return ExitStatus.OK
        time.sleep(_PAUSE)
    print_note("it is still reading, or something is wrong: `busyd status` says which")
    return ExitStatus.TRY_AGAIN


def _ask(client: DaemonClient, profile: str) -> Any:
    return client.get(profile_path(profile, "freebusy"))
