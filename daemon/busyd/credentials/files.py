"""Secrets in files: the names of the encrypted store and of its key, and the credentials that systemd hands in."""

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from busyd.errors import UserError
from busyd.regular_file import open_regular_file

STORE_FILE: Final = "credentials"
KEY_FILE: Final = "credentials.key"
"""The key of that store, unless it comes from elsewhere."""
KEY_NAME: Final = "busyd-key"
"""The systemd credential that holds the key of the encrypted store."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,200}")
_MOST_BYTES: Final = 64 * 1024


class CredentialMissing(UserError):
    """A password could not be read from its configured source."""


def is_credential_name(name: str) -> bool:
    """Whether a text is a valid credential name: no slash, no leading dot, and not the name of the store's own key."""
    return _NAME.fullmatch(name) is not None and ".." not in name and name != KEY_NAME


def credential_file(name: str, environment: Mapping[str, str]) -> Path | None:
    """Where systemd puts the credential of this name, whether it exists or not; None outside such a unit."""
    directory = environment.get("CREDENTIALS_DIRECTORY")
    return Path(directory, name) if directory and _NAME.fullmatch(name) and ".." not in name else None


def read_secret_bytes(path: Path) -> bytes:
    """The content of a small regular file. Raises OSError, or CredentialMissing when it is something else."""
    try:
        with open_regular_file(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        message = f"{path} is not a regular file"
        raise CredentialMissing(message) from None
    if len(content) > _MOST_BYTES:
        message = f"{path} is too large for a password file"
        raise CredentialMissing(message)
    return content
