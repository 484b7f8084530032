"""Takes a connection out of configuration files that a person may have written; the rest stays, comments too."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from busyd.cli.exit_status import CommandFailed
from busyd.config import Config, ConfigFaults
from busyd.connection import CalendarReference
from busyd.durable_file import replace_file
from busyd.state.link_map import connections_of

_EMPTY: Final = "# No account is connected; `busyd setup` connects one.\nconnections: {}\n"
_NEVER_FOLD: Final = 1_000_000


class RemovedConnection(Struct, frozen=True):
    """What taking out a connection does."""

    texts: Mapping[Path, str]
    """The new text of each file that changes; empty for one that has nothing left to say."""
    effects: tuple[str, ...]
    """A sentence for each thing that goes, besides the connection itself."""


def plan_removal(config: Config, name: str) -> RemovedConnection:
    """How the files look without a connection and all that names it. Raises CommandFailed when one cannot be read."""
    gone = {profile.name for profile in config.profiles.values() if connections_of(profile) == {name}}
    texts: dict[Path, str] = {}
    effects: list[str] = [f"profile {profile} has no other calendar, so it goes as well" for profile in sorted(gone)]
    for file in config.files:
        before = _read(file)
        tree = _yaml().load(before)
        if not isinstance(tree, dict):
            continue
        changed = [*_take_out(tree, name, gone=gone)]
        if changed:
            effects += [effect for effect in changed if effect]
            texts[file] = _write(tree) if any(tree.values()) else ""
    return RemovedConnection(texts, tuple(dict.fromkeys(effects)))


def carry_out(removal: RemovedConnection, *, main: Path, reload: Callable[[], object]) -> None:
    """Write the files, all or none; a further file with nothing left is deleted. Raises CommandFailed, ConfigFaults.

    `reload` reads the outcome, and raises ConfigFaults when it is no valid configuration.
    """
    before = {file: file.read_bytes() for file in removal.texts}
    try:
        for file, text in removal.texts.items():
            if text or file == main:
                _replace(file, (text or _EMPTY).encode())
            else:
                file.unlink()
        reload()
    except (OSError, ConfigFaults) as error:
        for file, content in before.items():
            _replace(file, content)
        if isinstance(error, ConfigFaults):
            raise
        message = f"cannot write {error.filename}: {(error.strerror or 'access denied').lower()}; nothing was removed"
        raise CommandFailed(message) from None


def _take_out(tree: dict[str, Any], name: str, *, gone: set[str]) -> Iterator[str]:
    """Change a file's tree in place; a sentence for each thing that is worth telling, else an empty text."""
    if name in (tree.get("connections") or {}):
        del tree["connections"][name]
        yield ""
    profiles = tree.get("profiles") or {}
    for profile in [one for one in profiles if isinstance(profiles[one], dict)]:
        if profile in gone:
            del profiles[profile]
            yield ""
        else:
            yield from _take_out_of_profile(profile, profiles[profile], name=name)
            if not profiles[profile]:
                del profiles[profile]
    for key in ("connections", "profiles"):
        if key in tree and not tree[key]:
            del tree[key]


def _take_out_of_profile(profile: str, written: dict[str, Any], *, name: str) -> Iterator[str]:
    for key in ("primary", "blocks"):
        if key in written and _is_of(written[key], name):
            yield f"profile {profile} has no {key} any more ({written.pop(key)})"
    conflicts = written.get("conflicts")
    if isinstance(conflicts, list):
        for reference in [one for one in conflicts if _is_of(one, name)]:
            conflicts.remove(reference)
            yield f"profile {profile} no longer counts {reference}"
    elif conflicts is not None and _is_of(conflicts, name):
        yield f"profile {profile} no longer counts {written.pop('conflicts')}"
    if written.get("conflicts") == []:
        del written["conflicts"]
    rules: dict[str, Any] = written.get("calendars") or {}
    for key in [one for one in rules if _is_of(one, name)]:
        del rules[key]
        yield f"the rules of profile {profile} for {key} go"
    if not rules:
        written.pop("calendars", None)


def _is_of(reference: object, name: str) -> bool:
    return isinstance(reference, str) and CalendarReference.parse(reference).connection == name


def _yaml() -> Any:
    from ruamel.yaml import YAML  # slow to load, and this alone needs it

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _NEVER_FOLD
    return yaml


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"cannot read {file}: {(error.strerror or 'access denied').lower()}; nothing was removed"
        raise CommandFailed(message) from None


def _write(tree: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def _replace(file: Path, content: bytes) -> None:
    """Write the whole file atomically, with the owner and mode of the one before it."""

    def take_owner(descriptor: int) -> None:
        if file.exists():
            status = file.stat()
            os.fchmod(descriptor, status.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(descriptor, status.st_uid, status.st_gid)

    replace_file(file, content, prepare=take_owner)
