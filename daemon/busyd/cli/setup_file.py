"""What `busyd setup` writes: a configuration file and an encrypted password, both or neither."""

import grp
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from busyd.cli.exit_status import CommandFailed
from busyd.config import Config, ConfigFaults, ConfigMissing, find_config, load_config
from busyd.config.load import SYSTEM_CONFIG
from busyd.connection import ICLOUD_URL, Connection, ConnectionKind, PasswordShape, RemoteCalendar
from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from busyd.durable_file import replace_file

_SYSTEM: Final = SYSTEM_CONFIG.parent
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@-]*(?: [A-Za-z0-9_./@-]+)*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


class NewProfile(Struct, frozen=True):
    """A profile to be written, or what is added to one that is there already."""

    name: str
    timezone: str | None
    """None for a profile that is there."""
    primary: str | None
    """`CONNECTION/CALENDAR`."""
    conflicts: tuple[str, ...]


class ConfigTarget(Struct, frozen=True):
    """Where the configuration is, or will be."""

    main: Path
    config: Config | None
    """The existing configuration; None when there is no file yet."""

    def file_for(self, name: str) -> Path:
        """The file for a new connection: an existing configuration is extended, never rewritten."""
        return self.main if self.config is None else self.main.parent / "config.d" / f"{name}.yaml"


def find_place(explicit: Path | None, environment: Mapping[str, str]) -> ConfigTarget:
    """The existing configuration, or where the first one belongs. Raises ConfigFaults when the existing is invalid."""
    try:
        path = find_config(explicit, environment)
    except ConfigMissing:
        given, home = environment.get("XDG_CONFIG_HOME", ""), environment.get("HOME")
        if not Path(given).is_absolute() and not home:
            raise
        folder = Path(given) if Path(given).is_absolute() else Path(home or "", ".config")
        return ConfigTarget(folder / "busyd" / "config.yaml", None)
    return ConfigTarget(path, load_config(path, environment) if os.path.lexists(path) else None)


def render(connection: Connection, profile: NewProfile | None, *, has_password: bool, label: str) -> str:
    """The file, as a person would have written it. `label` is the name of the password in the Apple Account."""
    lines = ["# Written by `busyd setup`. After a change, run `busyd check`, then `busyd reload`."]
    lines += ["", "connections:", f"  {connection.name}:"]
    if connection.kind is not ConnectionKind.ICLOUD:
        lines.append(f"    kind: {connection.kind}")
    if connection.url != ICLOUD_URL:
        lines.append(f"    url: {_quote(connection.url)}")
    if connection.username:
        lines.append(f"    username: {_quote(connection.username)}")
    if has_password:
        note = f"  # suggested label at account.apple.com: {label}" if connection.kind is ConnectionKind.ICLOUD else ""
        lines.append(f"    password: {{credential: {_quote(connection.name)}}}{note}")
    if connection.allow_password_shape is not PasswordShape.APPLE:
        lines.append(f"    allow_password_shape: {connection.allow_password_shape}")
    if connection.kind is ConnectionKind.ICS:
        lines.append("    poll: 6h")
    if profile is not None:
        lines += ["", "profiles:", f"  {profile.name}:"]
        if profile.timezone is None:
            lines[-1] += "  # added to what the other files say of this profile"
        else:
            lines.append(f"    timezone: {_quote(profile.timezone)}")
        if profile.primary:
            lines.append(f"    primary: {_quote(profile.primary)}")
        if profile.conflicts:
            lines.append(f"    conflicts: [{', '.join(_quote(reference) for reference in profile.conflicts)}]")
    return "\n".join(lines) + "\n"


def save(place: ConfigTarget, name: str, *, text: str, password: Secret | None, store: CredentialStore) -> Path:
    """Write the password and the file, or, when anything fails, neither. Returns the file.

    Raises CommandFailed, CredentialMissing, StorageError, and ConfigFaults when the result would not be a valid
    configuration.
    """
    file = place.file_for(name)
    if os.path.lexists(file):
        message = f"{file} already exists; nothing was saved"
        raise CommandFailed(message, fix="choose another name with --name")
    before = store.get(name) if password is not None else None
    if password is not None:
        store.set(name, password)
    try:
        _write(file, text)
        try:
            load_config(place.main, os.environ)
        except ConfigFaults:
            file.unlink()
            raise
    except BaseException:
        if password is not None and before is None:
            store.remove(name)
        elif before is not None:
            store.set(name, before)
        raise
    return file


def reference_to(calendar: RemoteCalendar, calendars: tuple[RemoteCalendar, ...], *, connection: str) -> str:
    """`CONNECTION/CALENDAR` that names this calendar and no other: by its name if possible, else by its id."""
    name = calendar.name
    alike = [other for other in calendars if name.casefold() in (other.name.casefold(), other.id.casefold())]
    plain = name.strip() == name and name.isprintable() and name not in ("", "*")
    if plain and all(other.href == calendar.href for other in alike):
        return f"{connection}/{name}"
    return f"{connection}/{calendar.id}"


def _write(file: Path, text: str) -> None:
    """Write the whole file atomically, readable by its owner; the system's file also by busyd's own user."""
    system = file.is_relative_to(_SYSTEM)
    try:
        file.parent.mkdir(mode=0o755 if system else 0o700, parents=True, exist_ok=True)
        replace_file(file, text.encode(), prepare=_open_to_service if system else lambda _: None)
    except OSError as error:
        message = f"cannot write {file}: {(error.strerror or 'access denied').lower()}; nothing was saved"
        raise CommandFailed(message, fix="choose another file with --config") from None


def _open_to_service(descriptor: int) -> None:
    """Let busyd's group read it, or everybody where there is no such group: the file contains no secrets."""
    try:
        group = grp.getgrnam("busyd").gr_gid
    except KeyError:
        os.fchmod(descriptor, 0o644)
    else:
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, 0o640)


def _quote(text: str) -> str:
    """A text in a form that YAML reads back unchanged."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)
