"""Where a password comes from, and reading it. Blocking, so call it in a thread. Writing is `store.py`.

Every failure is a CredentialMissing that says what to do and never shows what was read.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from busyd.credentials.files import (
    STORE_FILE,
    CredentialMissing,
    credential_file,
    is_credential_name,
    read_secret_bytes,
)
from busyd.credentials.secret import Secret, shown_name
from busyd.ownership import describe_user, groups_of, owner_of

if TYPE_CHECKING:
    from busyd.credentials.store import CredentialStore

COMMAND_SECONDS: Final = 30.0


class FromCredential(Struct, frozen=True):
    """A systemd credential of this name, else an entry of the encrypted store."""

    name: str

    def __str__(self) -> str:
        return f"credential {shown_name(self.name)}"


class FromFile(Struct, frozen=True):
    """The only line of a file."""

    path: Path

    def __str__(self) -> str:
        return f"file {_shown_path(self.path)}"


class FromEnvironment(Struct, frozen=True):
    """An environment variable."""

    name: str

    def __str__(self) -> str:
        return f"environment variable {shown_name(self.name)}"


class FromCommand(Struct, frozen=True):
    """What a program prints on standard output; no shell is involved."""

    argv: tuple[str, ...]
    hidden: frozenset[str] = frozenset()
    """Variables that it does not get: they hold passwords of other connections."""

    def __str__(self) -> str:
        # Arguments may name a vault entry or contain a token, so only the program is shown.
        return f"command {Path(self.argv[0]).name}"


class Literal(Struct, frozen=True):
    """Written in the configuration itself."""

    secret: Secret

    def __str__(self) -> str:
        return "the configuration file"


PasswordSource = FromCredential | FromFile | FromEnvironment | FromCommand | Literal


def read_password(
    source: PasswordSource,
    state_directory: Path,
    *,
    environment: Mapping[str, str],
    store: "CredentialStore | None" = None,
) -> Secret:
    """The password, without its trailing newline. A command may take 30 seconds.

    `store` is where stored passwords are; None for the file in the state directory. Raises CredentialMissing, and
    StorageError where they are in a database that cannot be read.
    """
    match source:
        case Literal(secret):
            return secret
        case FromCredential(name):
            return _read_credential(name, state_directory, environment=environment, store=store)
        case FromFile(path):
            user = describe_user(os.geteuid())
            return _read_file(path, fix=f"write the password to {_shown_path(path)}, so that only {user} can read it")
        case FromEnvironment(name):
            shown = shown_name(name)
            if name not in environment:
                message = f"the environment variable {shown} is not set"
                raise CredentialMissing(message, fix=f"set {shown} for busyd, or configure another password source")
            return _only_line(
                environment[name],
                f"the environment variable {shown}",
                fix=f"set {shown} to the password and nothing else",
            )
        case FromCommand(argv, hidden):
            return _run_command(argv, state_directory, environment=environment, hidden=hidden)


def _read_credential(
    name: str, state_directory: Path, *, environment: Mapping[str, str], store: "CredentialStore | None"
) -> Secret:
    shown = shown_name(name)
    fix = f"store it with `busyd credential set {shown}`"
    if not is_credential_name(name):
        message = f"{shown!r} is not a valid credential name"
        raise CredentialMissing(message, fix="use letters, digits, '_', '-' and '.'")
    given = credential_file(name, environment)
    if given is not None and given.exists():
        return _read_file(given, fix=fix)
    if store is not None and store.is_shared:
        stored = store.get(name)
        if stored is not None:
            return stored
        message = f"there is no credential named {shown} in {store.where(name)}"
        raise CredentialMissing(message, fix=fix)
    if _has_store(state_directory, shown=shown):
        from busyd.credentials.store import CredentialStore

        stored = CredentialStore(state_directory, environment).get(name)
        if stored is not None:
            return stored
    message = f"there is no credential named {shown}"
    raise CredentialMissing(message, fix=f"{fix}, or pass it to the service with LoadCredentialEncrypted={shown}:...")


def _has_store(state_directory: Path, *, shown: str) -> bool:
    """Raises CredentialMissing where this user may not look."""
    store = state_directory / STORE_FILE
    try:
        return store.exists()
    except PermissionError:
        if os.path.islink(store):  # noqa: PTH114 - that of Path raises where this user may not look
            message = f"{store} is a symbolic link to where user {describe_user(os.geteuid())} may not go"
            raise CredentialMissing(message, fix="put the file itself there, or remove the link") from None
        message = f"this user may not read the credential {shown} in {state_directory}"
        raise CredentialMissing(message, fix="run this as root, or as the user busyd runs as") from None


def _read_file(path: Path, *, fix: str) -> Secret:
    try:
        content = read_secret_bytes(path)
    except OSError as error:
        message = f"cannot read the password from {_shown_path(path)}: {(error.strerror or 'unknown reason').lower()}"
        raise CredentialMissing(message, fix=fix) from None
    return _decode(content, _shown_path(path), fix=fix)


def _shown_path(path: Path) -> str:
    return str(path.with_name(shown_name(path.name))) if path.name else str(path)


def _run_command(
    argv: tuple[str, ...], state_directory: Path, *, environment: Mapping[str, str], hidden: frozenset[str]
) -> Secret:
    program = Path(argv[0]).name
    fix = f"run {program} by hand, as the user busyd runs as, to see why"
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # The error messages of a password manager may contain secrets, so they are not shown.
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if name not in hidden},
            start_new_session=True,
            **_as_owner_of(state_directory),
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror or "unknown reason").lower() if isinstance(error, OSError) else "invalid command"
        message = f"cannot run the password command {program}: {reason}"
        raise CredentialMissing(message, fix="check the name of the program, or use its full path") from None
    with process:
        try:
            content, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            message = f"{program} printed no password within {COMMAND_SECONDS:.0f} seconds"
            raise CredentialMissing(message, fix=f"{fix}; it may be waiting to be unlocked") from None
    if process.returncode != 0:
        message = f"{program} failed with exit status {process.returncode}"
        raise CredentialMissing(message, fix=fix)
    return _decode(content, f"the output of {program}", fix=f"have {program} print the password and nothing else")


def _as_owner_of(state_directory: Path) -> dict[str, Any]:
    """Arguments that make root run a program as the owner of the state, who may have chosen the program."""
    uid = owner_of(state_directory) if os.geteuid() == 0 else 0
    if uid == 0:
        return {}
    group, groups = groups_of(uid)
    return {"user": uid, "group": group, "extra_groups": groups}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The program may have started others, which would keep the pipe open.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _decode(content: bytes, where: str, *, fix: str) -> Secret:
    try:
        return _only_line(content.decode(), where, fix=fix)
    except UnicodeDecodeError:
        message = f"{where} is not UTF-8 text"
        raise CredentialMissing(message, fix=fix) from None


def _only_line(text: str, where: str, *, fix: str) -> Secret:
    line = text.rstrip("\r\n")
    if not line:
        message = f"{where} is empty"
        raise CredentialMissing(message, fix=fix)
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line):
        message = f"{where} contains more than one line, or control characters"
        raise CredentialMissing(message, fix=fix)
    return Secret(line)
