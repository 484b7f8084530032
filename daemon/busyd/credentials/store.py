"""The encrypted password file in the state directory. Its key is kept elsewhere if possible.

A stolen backup with this file but without the key is useless. The key file beside it, created on first use, only
protects against a casual look, which is why a systemd credential or BUSYD_KEY_FILE takes precedence.

Format, version 1: the line `busyd-credentials 1`, 16 bytes of salt, 12 of nonce, then AES-256-GCM over a JSON object
of name -> password, with the line and the salt authenticated. The AES key is HKDF-SHA-256 of the key material and the
salt; both salt and nonce are new for every write.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busyd.credentials.files import (
    KEY_FILE,
    KEY_NAME,
    STORE_FILE,
    CredentialMissing,
    credential_file,
    is_credential_name,
    read_secret_bytes,
)
from busyd.credentials.secret import Secret
from busyd.os_errors import fault_of
from busyd.ownership import as_owner_of, make_state_directory

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER: Final = b"busyd-credentials 1\n"
_FAMILY: Final = b"busyd-credentials "
_SALT: Final = 16
_NONCE: Final = 12
_LEAST_KEY: Final = 32
_LOCK_FILE: Final = "credentials.lock"


class CredentialStoreUnreadable(CredentialMissing):
    """The store exists but cannot be opened: wrong key, changed content, or a newer version."""


class CredentialStore:
    """The passwords stored by `busyd credential set`. Every method reads the file again; blocking."""

    def __init__(self, state_directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = state_directory
        self._path = state_directory / STORE_FILE
        self._environment = environment

    def get(self, name: str) -> Secret | None:
        """The password of this name, or None. Raises CredentialStoreUnreadable."""
        text = self._read().get(name)
        return None if text is None else Secret(text)

    def names(self) -> list[str]:
        """The names, sorted. Raises CredentialStoreUnreadable."""
        return sorted(self._read())

    def set(self, name: str, secret: Secret) -> None:
        """Store a password; it is on the disk when this returns.

        Raises CredentialMissing, CredentialStoreUnreadable; TryAgain, Misconfigured on disk errors.
        """
        if not is_credential_name(name):
            message = f"{name!r} is not a valid credential name"
            raise CredentialMissing(message, fix="use letters, digits, '_', '-' and '.'; busyd-key is reserved")
        self._change(lambda entries: entries.update({name: secret.reveal()}))

    def get_or_set(self, name: str, make: Callable[[], Secret]) -> Secret:
        """The password of this name; a new one is stored where there is none. Raises as `set`."""
        known = self.get(name)
        if known is None:
            self._change(lambda entries: entries.setdefault(name, make().reveal()))
            known = self.get(name)
            assert known is not None
        return known

    def remove(self, name: str) -> bool:
        """Remove a password; False when there is none of this name. Raises CredentialStoreUnreadable."""
        if name not in self._read():
            return False
        self._change(lambda entries: entries.pop(name, None))
        return True

    def _change(self, change: Callable[[dict[str, str]], object]) -> None:
        with as_owner_of(self._directory), self._locked():
            entries = self._load()
            change(entries)
            self._write(entries, self._key_material(make=True))

    def rotate_key(self, key_file: Path | None = None) -> Path:
        """Encrypt everything with another key: that of a file, else a new one in place of busyd's own; its file.

        Whatever ends it in between, the passwords can be read: the old key stays until the new one is needed.
        Raises CredentialMissing, CredentialStoreUnreadable; TryAgain, Misconfigured on disk errors.
        """
        given = _read_key(key_file) if key_file is not None else None
        with as_owner_of(self._directory), self._locked():
            entries, own = self._load(), self._directory / KEY_FILE
            if given is not None and key_file is not None:
                self._write(entries, given)
                return key_file
            if (used := self._key_path()) != own:
                message = f"the key of the credential store comes from {used}, which busyd does not replace"
                raise CredentialMissing(
                    message, fix="make one with `openssl rand -hex 32 > FILE`, and pass --key-file FILE"
                )
            material = secrets.token_bytes(_LEAST_KEY).hex().encode()
            _replace(self._next_key, material + b"\n")
            self._write(entries, material)
            self._next_key.replace(own)
            return own

    @property
    def _next_key(self) -> Path:
        """The key to come, while busyd's own is being replaced."""
        return self._directory / f"{KEY_FILE}.new"

    def _write(self, entries: Mapping[str, str], material: bytes) -> None:
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        sealed = _cipher(material, salt).encrypt(nonce, json.dumps(entries).encode(), _HEADER + salt)
        _replace(self._path, _HEADER + salt + nonce + sealed)

    def _read(self) -> dict[str, str]:
        with as_owner_of(self._directory):
            return self._load()

    def _load(self) -> dict[str, str]:
        try:
            content = read_secret_bytes(self._path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"cannot read {self._path}: {(error.strerror or 'unknown reason').lower()}"
            raise CredentialStoreUnreadable(message, fix="run busyd as the owner of its state directory") from None
        if not content.startswith(_HEADER):
            future = content.startswith(_FAMILY)
            message = f"{self._path} was written by a newer busyd" if future else f"{self._path} is damaged"
            raise CredentialStoreUnreadable(message, fix="upgrade busyd" if future else _set_again(self._path))
        body = content[len(_HEADER) :]
        salt, nonce, sealed = body[:_SALT], body[_SALT : _SALT + _NONCE], body[_SALT + _NONCE :]
        return self._open(salt, nonce, sealed=sealed)

    def _open(self, salt: bytes, nonce: bytes, *, sealed: bytes) -> dict[str, str]:
        from cryptography.exceptions import InvalidTag

        materials = [self._key_material(make=False)]
        if self._key_path() == self._directory / KEY_FILE and self._next_key.exists():
            materials.append(_read_key(self._next_key))  # a change of the key was interrupted
        for material in materials:
            with contextlib.suppress(InvalidTag, ValueError):
                entries: dict[str, str] = json.loads(_cipher(material, salt).decrypt(nonce, sealed, _HEADER + salt))
                return entries
        message = f"{self._path} cannot be decrypted with the key from {self._key_path()}, or was modified"
        raise CredentialStoreUnreadable(message, fix=f"restore the key, or {_set_again(self._path)}")

    def _key_path(self) -> Path:
        """The file with the key: a systemd credential, BUSYD_KEY_FILE, else beside the store."""
        given = credential_file(KEY_NAME, self._environment)
        if given is not None and given.exists():
            return given
        named = self._environment.get("BUSYD_KEY_FILE")
        return Path(named) if named else self._directory / KEY_FILE

    def _key_material(self, *, make: bool) -> bytes:
        path = self._key_path()
        own = path == self._directory / KEY_FILE
        if own and make and not path.exists():
            if self._path.exists():
                # A new key would overwrite passwords that the lost one could still decrypt.
                message = f"the key of {self._path} is missing: {path} does not exist"
                raise CredentialStoreUnreadable(message, fix=f"restore the key, or {_set_again(self._path)}")
            _replace(path, secrets.token_bytes(_LEAST_KEY).hex().encode() + b"\n")
        try:
            material = read_secret_bytes(path).rstrip(b"\r\n")
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            message = f"cannot read the key of the credential store, {path}: {reason}"
            raise CredentialStoreUnreadable(message, fix=f"restore the key, or {_set_again(self._path)}") from None
        return _long_enough(material, path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, across processes."""
        try:
            make_state_directory(self._directory)
            lock = os.open(self._directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            fix = "run this as the user busyd runs as, or pass another --state" if error.errno == errno.EACCES else ""
            raise fault_of(error, f"cannot write to {self._directory}", fix=fix) from None


def _read_key(path: Path) -> bytes:
    """Raises CredentialStoreUnreadable for a file that holds no key."""
    try:
        return _long_enough(read_secret_bytes(path).rstrip(b"\r\n"), path)
    except OSError as error:
        message = f"cannot read the key {path}: {(error.strerror or 'unknown reason').lower()}"
        raise CredentialStoreUnreadable(message, fix=f"create one with `openssl rand -hex 32 > {path}`") from None


def _long_enough(material: bytes, path: Path) -> bytes:
    if len(material) < _LEAST_KEY:
        message = f"the key in {path} is shorter than {_LEAST_KEY} bytes"
        raise CredentialStoreUnreadable(message, fix=f"create one with `openssl rand -hex 32 > {path}`")
    return material


def _set_again(path: Path) -> str:
    return f"remove {path} and store each password again with `busyd credential set NAME`"


def _cipher(material: bytes, salt: bytes) -> "AESGCM":
    # cryptography is slow to load, so it is imported only to encrypt and decrypt.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=_HEADER).derive(material))


def _replace(path: Path, content: bytes) -> None:
    """Write the whole content atomically and durably, with mode 0600 (from mkstemp)."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
