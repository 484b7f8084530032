"""The key that secrets are sealed with: a systemd credential, the file that BUSYD_KEY_FILE names, else busyd's own."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from busyd.credentials.files import KEY_FILE, KEY_NAME, CredentialMissing, credential_file, read_secret_bytes
from busyd.durable_file import replace_file, sync_folder
from busyd.os_errors import fault_of
from busyd.ownership import advice_on_access, make_state_directory

_LEAST: Final = 32
"""Bytes."""


class CredentialStoreUnreadable(CredentialMissing):
    """There are secrets that cannot be opened: wrong key, changed content, or a newer version."""


class StoreKey:
    """The key of this machine. Every method reads its file again; blocking. Raises CredentialStoreUnreadable."""

    def __init__(self, state_directory: Path, environment: Mapping[str, str]) -> None:
        self._own = state_directory / KEY_FILE
        self._environment = environment

    @property
    def path(self) -> Path:
        """The file with the key."""
        given = credential_file(KEY_NAME, self._environment)
        if given is not None and given.exists():
            return given
        named = self._environment.get("BUSYD_KEY_FILE")
        return Path(named) if named else self._own

    @property
    def how_to_copy(self) -> str:
        """What to do where the key of another machine is needed here."""
        path = self.path
        is_given = path == credential_file(KEY_NAME, self._environment)
        place = f"the systemd credential {KEY_NAME}" if is_given else str(path)
        return f"copy the key of a machine that can read them to {place}"

    @property
    def is_missing(self) -> bool:
        return not self.path.exists()

    def materials(self, *, fix: str) -> list[bytes]:
        """What may open secrets: the key, and the one to come while busyd's own is being replaced."""
        path = self.path
        try:
            found = [_long_enough(_read(path), path)]
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            message = f"cannot read the key of the credential store, {path}: {reason}"
            raise CredentialStoreUnreadable(message, fix=fix) from None
        if path == self._own and self._next.exists():
            found.append(read_key(self._next))  # a change of the key was interrupted
        return found

    def material_or_new(self, *, fix: str) -> bytes:
        """What to seal with; busyd's own key is made where there is none. Raises TryAgain, Misconfigured, too."""
        if self.path == self._own and self.is_missing:
            folder = self._own.parent
            make_state_directory(folder)
            try:
                write_durably(self._own, _new_material() + b"\n")
            except OSError as error:
                raise fault_of(error, f"cannot write to {folder}", fix=advice_on_access(folder)) from None
        return self.materials(fix=fix)[0]

    def begin_change(self) -> bytes:
        """The key to come in place of busyd's own, which counts until `finish_change`; that of a change cut short."""
        if (used := self.path) != self._own:
            message = f"the key of the credential store comes from {used}, which busyd does not replace"
            fix = "make one with `openssl rand -hex 32 > FILE`, and pass --key-file FILE"
            raise CredentialMissing(message, fix=fix)
        if not self._next.exists():  # else something may be sealed with it already
            write_durably(self._next, _new_material() + b"\n")
        return read_key(self._next)

    def finish_change(self) -> Path:
        """Have the key to come count; its file."""
        self._next.replace(self._own)
        return self._own

    @property
    def _next(self) -> Path:
        return self._own.with_name(f"{KEY_FILE}.new")


def read_key(path: Path) -> bytes:
    """Raises CredentialStoreUnreadable for a file that holds no key."""
    try:
        return _long_enough(_read(path), path)
    except OSError as error:
        message = f"cannot read the key {path}: {(error.strerror or 'unknown reason').lower()}"
        raise CredentialStoreUnreadable(message, fix=f"create one with `openssl rand -hex 32 > {path}`") from None


def write_durably(path: Path, content: bytes) -> None:
    """Write the whole content atomically and durably, with mode 0600. Raises OSError."""
    replace_file(path, content)
    sync_folder(path.parent)


def _new_material() -> bytes:
    return secrets.token_bytes(_LEAST).hex().encode()


def _read(path: Path) -> bytes:
    return read_secret_bytes(path).rstrip(b"\r\n")


def _long_enough(material: bytes, path: Path) -> bytes:
    if len(material) < _LEAST:
        message = f"the key in {path} is shorter than {_LEAST} bytes"
        raise CredentialStoreUnreadable(message, fix=f"create one with `openssl rand -hex 32 > {path}`")
    return material
