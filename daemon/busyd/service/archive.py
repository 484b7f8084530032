"""The file of a backup: a zip archive in which `manifest.json` says what else is in it.

The manifest has `format`, `busyd` (version), `made` (RFC 3339), `schema` (of the ledger) and `files` (name -> `size`,
`sha256`). Format 1 has `ledger.sqlite3`, and where there are any `credentials` and `credentials.key`.
"""

import errno
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from busyd.credentials.files import KEY_FILE, STORE_FILE
from busyd.durable_file import sync_folder
from busyd.os_errors import fault_of
from busyd.regular_file import open_regular_file
from busyd.store.backup import BackupUnusable
from busyd.store.ledger import LEDGER_FILE

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MEMBERS: Final = (KEY_FILE, STORE_FILE, LEDGER_FILE)
"""In the order in which they are put in place: passwords never without their key, the ledger last."""
_MOST_MANIFEST: Final = 64 * 1024
_CHUNK: Final = 1024 * 1024
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What `zipfile` raises about archives that are damaged, encrypted, or made otherwise."""


class PackedFile(Struct, frozen=True):
    """A file in a backup: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What is in a backup."""

    format: int
    busyd: str
    made: str
    schema: int
    files: dict[str, PackedFile]


def pack(files: Mapping[str, bytes], *, version: str, made: str, schema: int) -> bytes:
    """The archive of these files. `made` is RFC 3339."""
    members = {name: PackedFile(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()}
    manifest = Manifest(FORMAT, version, made, schema, members)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {MANIFEST: msgspec.json.encode(manifest), **files}.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, content)
    return target.getvalue()


def write_new(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that must not exist yet, durably; nothing is left of one that cannot be written.

    Raises BackupUnusable where there is something already, and as `fault_of`.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise exists_already(path) from None
    except OSError as error:
        raise fault_of(error, f"cannot write {path}", fix=_how_to_write(error)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise fault_of(error, f"cannot write {path}") from None
        raise
    sync_names(path.parent)


def exists_already(path: Path) -> BackupUnusable:
    """The error about a file that a backup would replace."""
    if path.is_dir():
        return BackupUnusable(f"{path} is a directory", fix=f"name a file in it, such as {path / 'busyd-backup.zip'}")
    return BackupUnusable(f"{path} exists already, and a backup replaces nothing", fix="name another file")


def sync_names(folder: Path) -> None:
    """Have the names in a folder on the disk, where its file system can do that."""
    with suppress(OSError):
        sync_folder(folder)


class Archive:
    """An open backup in which every file is as it was written."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Reads all of it. Raises BackupUnusable."""
        self._path = path
        try:
            self._zip = zipfile.ZipFile(file)
            self.manifest = self._read_manifest()
            for name in self.manifest.files:
                for _ in self._chunks(name):
                    pass
        except _UNREADABLE:
            raise self._damaged() from None

    def extract(self, name: str, target: Path) -> None:
        """Write one of its files where there is none yet, mode 0600, durably. Raises OSError, BackupUnusable."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            try:
                for chunk in self._chunks(name):
                    file.write(chunk)
            except _UNREADABLE:
                raise self._damaged() from None
            file.flush()
            os.fsync(descriptor)

    def _read_manifest(self) -> Manifest:
        try:
            with self._zip.open(MANIFEST) as file:
                text = file.read(_MOST_MANIFEST)
            known = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            form = msgspec.json.decode(known.get("format", msgspec.Raw(b"0")), type=int)
            if form > FORMAT:
                version = msgspec.json.decode(known.get("busyd", msgspec.Raw(b'""')), type=str)
                message = f"{self._path} was made by a newer busyd{f' ({version[:40]})' if version else ''}"
                raise BackupUnusable(message, fix="install that version of busyd, then restore")
            manifest = msgspec.json.decode(text, type=Manifest)
        except (KeyError, msgspec.MsgspecError):
            raise not_a_backup(self._path) from None
        if LEDGER_FILE not in manifest.files or not manifest.files.keys() <= set(MEMBERS):
            raise not_a_backup(self._path)
        return manifest

    def _chunks(self, name: str) -> Iterator[bytes]:
        """A file piece by piece; never more than its manifest says. Raises BackupUnusable when it is another."""
        member, digest, size = self.manifest.files[name], hashlib.sha256(), 0
        try:
            source = self._zip.open(name)
        except KeyError:
            raise self._damaged() from None
        with source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
                if size > member.size:
                    raise self._damaged()
                yield chunk
        if size != member.size or digest.hexdigest() != member.sha256:
            raise self._damaged()

    def _damaged(self) -> BackupUnusable:
        return BackupUnusable(
            f"{self._path} is damaged, or was not written to its end; nothing was changed", fix="take another backup"
        )


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """A backup, looked over from its beginning to its end. Raises BackupUnusable, and as `fault_of`."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open_regular_file(path))
            if not zipfile.is_zipfile(file):
                raise not_a_backup(path)
            archive = Archive(path, file)
        except FileNotFoundError:
            message = f"there is no file {path}"
            raise BackupUnusable(message, fix="name one that `busyd backup` wrote") from None
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.EINVAL):
                raise not_a_backup(path) from None
            raise fault_of(error, f"cannot read {path}", fix=_how_to_read(error)) from None
        yield archive


def not_a_backup(path: Path) -> BackupUnusable:
    """The error about another file."""
    message = f"{path} is not a backup of busyd, or not a whole one"
    return BackupUnusable(message, fix="name one that `busyd backup` wrote")


def _how_to_write(error: OSError) -> str:
    return "name a file in a directory where you may write" if isinstance(error, PermissionError) else ""


def _how_to_read(error: OSError) -> str:
    return "run this as a user who may read it" if isinstance(error, PermissionError) else ""
