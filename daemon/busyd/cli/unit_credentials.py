"""Credentials that systemd passes to the service. It does so only at a start; a reload does not update them."""

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


def is_passed_on(settings: ConnectionConfig, installation: Installation) -> bool:
    """Whether the daemon has the password of a connection from its unit."""
    return _handed_over(settings, installation) is not None


def outdated_credentials(installation: Installation) -> list[str]:
    """A sentence for each password whose file has changed since the service was started. Raises ConfigFaults."""
    sentences = []
    for name, settings in installation.config.connections.items():
        handed_over = _handed_over(settings, installation)
        if handed_over is None:
            continue
        unit = handed_over.parent.name
        source = _sources(unit).get(handed_over.name)
        if source is not None and _changed(source) > _changed(handed_over):
            sentences.append(
                f"connection {name}: {source} has changed since the service was started, and a reload does not pick "
                f"that up; run `systemctl restart {unit}`"
            )
    return sentences


def _handed_over(settings: ConnectionConfig, installation: Installation) -> Path | None:
    if installation.running is None or not isinstance(settings.password, FromCredential):
        return None
    path = credential_file(settings.password.name, installation.environment)
    return path if path is not None and _changed(path) else None


def _sources(unit: str) -> dict[str, Path]:
    """Name of a credential -> the file it is loaded from, according to the unit and its drop-ins."""
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
    """LoadCredential= and LoadCredentialEncrypted= of unit files; entries with a relative name are left out."""
    return {name: Path(path) for name, path in _LINE.findall(text)}


def _changed(path: Path) -> float:
    """When a file was changed; 0 for a missing one."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
