"""The Debian tree that the machines of these tests boot from, and the wheels that are installed in them.

Both are made once and kept in the user's cache: a run of the tests only lays a writable layer over the tree. Needs
root, mmdebstrap and systemd-nspawn (Debian: mmdebstrap, systemd-container), which `.ci/run` installs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.skips import skip

REPOSITORY: Final = Path(__file__).parents[2]
SUITE: Final = "bookworm"
PYTHON: Final = (3, 11)
"""Of that suite: the wheels must be made for the same."""
PACKAGES: Final = (
    "systemd,systemd-sysv,libpam-systemd,dbus,sudo,python3,python3-venv,iproute2,libnss-systemd,ca-certificates,procps,"
    "tzdata,curl"
)
PIP: Final = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/var/cache/wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""The machine has no network: pip takes what it needs from a folder."""
SIMULATOR: Final = "/opt/icloud"
"""A virtual environment beside the product's: what tests need must not seem to be there for the product."""
SIMULATOR_NEEDS: Final = ("aiohttp", "lxml", "recurring-ical-events>=3.8")
"""What the simulated iCloud imports."""
PROGRAMS: Final = ("mmdebstrap", "systemd-nspawn", "nsenter", "mount")


def require_machines() -> None:
    """Skip where no machine can be booted."""
    if os.geteuid() != 0:
        skip("only root can boot a machine with systemd-nspawn")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            skip(f"{program} is not installed (Debian: mmdebstrap, systemd-container, util-linux)")
    if sys.version_info[:2] != PYTHON:
        skip("the machine has Python 3.11, so its wheels are made with Python 3.11 only")


def base_tree() -> Path:
    """A minimal Debian with systemd; never booted itself. Takes most of a minute the first time."""

    def make(folder: Path) -> None:
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder)], check=True
        )

    return _cached(f"tree-{SUITE}-{_digest(PACKAGES)}", make)


def simulator_tree() -> Path:
    """What lies over the bare tree before busyd is installed: the environment of the simulated iCloud, and wheels."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packaging = project["project"]["optional-dependencies"]["package"]
    needs = [*project["project"]["dependencies"], *project["build-system"]["requires"], *packaging]
    wanted = [*needs, "wheel", *SIMULATOR_NEEDS]

    def make(folder: Path) -> None:
        folder.mkdir()
        with layer(str(base_tree()), folder) as root:
            found = root / PIP["PIP_FIND_LINKS"].lstrip("/")
            command = [sys.executable, "-m", "pip", "-qq", "wheel", "--disable-pip-version-check", "-w", str(found)]
            subprocess.run([*command, *wanted], check=True)
            inside = ["chroot", str(root)]
            subprocess.run([*inside, "python3", "-m", "venv", SIMULATOR], check=True)
            pip = [*inside, f"{SIMULATOR}/bin/pip", "-qq", "install", *SIMULATOR_NEEDS]
            subprocess.run(pip, check=True, env={"PATH": "/usr/sbin:/usr/bin", **PIP})

    return _cached(f"simulator-{_digest(PACKAGES, *wanted)}", make) / "upper"


@contextmanager
def layer(lower: str, folder: Path) -> Iterator[Path]:
    """A tree that looks like `lower` (folders joined by colons, the upper ones first) and is written in `folder`."""
    root, upper, work = (folder / name for name in ("root", "upper", "work"))
    for part in (root, upper, work):
        part.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; made by whoever comes first, whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "busyd-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder, unfinished = cache / name, cache / f"{name}.unfinished"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
