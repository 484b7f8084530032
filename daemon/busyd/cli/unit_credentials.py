"""Credentials that systemd passes on to the service: at its start only, a reload does not bring them up to date."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from busyd.cli.installation import Installation
from busyd.config import ConnectionConfig
from busyd.credentials import FromCredential
from busyd.credentials.files import credential_file

_SECONDS: Final = 10.0
_LINE: Final = re.compile(r"^\s*LoadCredential(?:Encrypted)?\s*=\s*([^:\s]+):(/\S+)\s*$", re.MULTILINE)


def is_passed_on(settings: ConnectionConfig, found: Installation) -> bool:
    """Whether the daemon has the password of a connection from its unit."""
    return _handed_over(settings, found) is not None


def outdated_credentials(found: Installation) -> list[str]:
    """A sentence for each password whose file has changed since the service was started. Raises ConfigFaults."""
    told = []
    for name, settings in found.config.connections.items():
        handed_over = _handed_over(settings, found)
        if handed_over is None:
            continue
        unit = handed_over.parent.name
        source = _sources(unit).get(handed_over.name)
        if source is not None and _changed(source) > _changed(handed_over):
            told.append(
                f"connection {name}: {source} has changed since systemd passed it on to the service, and a reload does "
                f"not pass it on again: `systemctl restart {unit}`"
            )
    return told


def _handed_over(settings: ConnectionConfig, found: Installation) -> Path | None:
    if found.running is None or not isinstance(settings.password, FromCredential):
        return None
    path = credential_file(settings.password.name, found.environment)
    return path if path is not None and _changed(path) else None


def _sources(unit: str) -> dict[str, Path]:
    """Name of a credential -> the file it is loaded from, as the unit and its drop-ins say now."""
    program = shutil.which("systemctl")
    if program is None:
        return {}
    try:
        done = subprocess.run(
            [program, "cat", unit], capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_sources(done.stdout)


def parse_sources(text: str) -> dict[str, Path]:
    """LoadCredential= and LoadCredentialEncrypted= of unit files; those with a relative name come from elsewhere."""
    return {name: Path(path) for name, path in _LINE.findall(text)}


def _changed(path: Path) -> float:
    """When a file was changed; 0 for one that is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
