"""Finding the configuration, reading all its files, and checking it as a whole. Changes nothing, asks no network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from busyd.address import ListenAddress
from busyd.config.connections import read_connections
from busyd.config.errors import ConfigFaults, ConfigMissing, Fault, Place
from busyd.config.model import DEFAULT_LISTEN, Config, Tls
from busyd.config.parsers import parse_flag, parse_host, parse_listen, parse_origin, parse_path
from busyd.config.permission import why_unreadable
from busyd.config.profiles import ProfileReader
from busyd.config.reader import Reader, folder_of
from busyd.config.tree import Entry, MappingNode, Unreadable, merge_trees, read_tree

SYSTEM_CONFIG: Final = Path("/etc/busyd/config.yaml")

_KEYS: Final = ("listen", "connections", "profiles", "tls", "behind_proxy", "hosts", "local_access", "cors", "state")


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """Read the file and `config.d/*.yaml` beside it.

    Raises ConfigFaults with everything that is wrong, and TryAgain when the disk does not let us read.
    """
    reader = Reader(environment)
    tree, files = _read_files(path, reader.faults)
    if tree is None:
        # A file that gives no tree would make every reference into it look wrong too.
        raise ConfigFaults(reader.faults)
    config = _read_config(reader, tree, files)
    if reader.faults:
        raise ConfigFaults(reader.faults)
    return config


def find_config(explicit: Path | None, environment: Mapping[str, str], *, system: Path | None = None) -> Path:
    """`--config`, `$BUSYD_CONFIG`, the user's own, the system's. Raises ConfigMissing when there is none of them.

    A file that was named is returned whether it exists or not, so that a typing error is not answered with another
    file.
    """
    if explicit is not None:
        return explicit
    if named := environment.get("BUSYD_CONFIG"):
        return Path(named)
    usual = [folder / "busyd" / "config.yaml" for folder in _xdg(environment, "XDG_CONFIG_HOME", ".config")]
    usual.append(system or SYSTEM_CONFIG)
    for path in usual:
        # Not `Path.exists`: a file that may not be looked at is there, and reading it will say so.
        if os.path.lexists(path):
            return path
    message = f"there is no configuration: looked for {' and '.join(str(path) for path in usual)}"
    raise ConfigMissing(message, fix="make one with `busyd setup`, or name it with --config FILE")


def written_state(path: Path, environment: Mapping[str, str]) -> Path | None:
    """`state:` of a configuration that may be faulty elsewhere; None when it says none, or is no YAML at all."""
    reader = Reader(environment)
    tree, _ = _read_files(path, reader.faults)
    return _read_path(reader, tree.entries.get("state"), "state") if tree is not None else None


def find_state(explicit: Path | None, config: Config | None, environment: Mapping[str, str]) -> Path:
    """`--state`, `state:` of the configuration, `$STATE_DIRECTORY`, the user's own. It need not exist yet."""
    if explicit is not None:
        return explicit
    if config is not None and config.state is not None:
        return config.state
    # systemd separates several with colons; busyd's unit has one.
    if given := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    return own_state(environment)


def own_state(environment: Mapping[str, str]) -> Path:
    """The state directory of a user who runs busyd without a service manager. Raises ConfigMissing."""
    for folder in _xdg(environment, "XDG_STATE_HOME", ".local/state"):
        return folder / "busyd"
    raise ConfigMissing("there is no place for the state: HOME is not set", fix="name one with --state DIR")


def _xdg(environment: Mapping[str, str], variable: str, default: str) -> list[Path]:
    # The XDG Base Directory Specification ignores relative paths.
    given = Path(environment.get(variable, ""))
    if given.is_absolute():
        return [given]
    home = environment.get("HOME")
    return [Path(home, default)] if home else []


def _read_files(path: Path, faults: list[Fault]) -> tuple[MappingNode | None, tuple[Path, ...]]:
    tree: MappingNode | None = None
    folder = path.parent / "config.d"
    try:
        extra = sorted(entry for entry in folder.glob("*.yaml") if not entry.name.startswith("."))
    except OSError:
        faults.append(Fault(Place(str(folder)), why_unreadable(folder)))
        extra = []
    whole = True
    for file in (path, *extra):
        try:
            found = read_tree(file, faults)
        except Unreadable as unreadable:
            faults.append(unreadable.fault)
            whole = False
        else:
            tree = found if tree is None else merge_trees(tree, found, faults)
    return (tree if whole else None), (path, *extra)


def _read_config(reader: Reader, tree: MappingNode, files: tuple[Path, ...]) -> Config:
    keys = reader.known_only(tree.entries, "the configuration", _KEYS)
    connections = read_connections(reader, keys.get("connections"))
    profiles = ProfileReader(reader, connections).read_all(keys.get("profiles"))
    tls = _read_tls(reader, keys.get("tls"))
    behind_proxy = reader.value(keys.get("behind_proxy"), "behind_proxy", parse_flag, False)
    listen = _read_listen(reader, keys.get("listen"), protected="tls" in keys or behind_proxy)
    if not connections and not reader.faults:
        reader.warn(tree.place, "there is no connection yet: `busyd setup` makes one")
    return Config(
        connections=connections,
        profiles=profiles,
        listen=listen,
        tls=tls,
        behind_proxy=behind_proxy,
        hosts=tuple(host for _, host in reader.values(keys.get("hosts"), "hosts", parse_host)),
        local_access=reader.choice(keys.get("local_access"), "local_access", ("freebusy", "none"), "freebusy"),
        cors=tuple(origin for _, origin in reader.values(keys.get("cors"), "cors", parse_origin)),
        state=_read_path(reader, keys.get("state"), "state"),
        files=files,
        places=reader.places,
        warnings=tuple(str(warning) for warning in sorted(set(reader.warnings))),
    )


def _read_listen(reader: Reader, entry: Entry | None, *, protected: bool) -> tuple[ListenAddress, ...]:
    if entry is None:
        return (DEFAULT_LISTEN,)
    folder = folder_of(entry.place)
    found: list[ListenAddress] = []
    for place, listen in reader.values(entry, "listen", lambda text: parse_listen(text, folder, reader.environment)):
        if listen in found:
            reader.fault(place, f"listen: {listen} is written twice")
        elif not listen.loopback and not protected:
            reader.fault(
                place,
                f"listen: other machines can reach {listen}, so add 'tls: {{cert: FILE, key: FILE}}', "
                "or 'behind_proxy: true' where a proxy does that",
            )
        reader.places[str(listen)] = place
        found.append(listen)
    if not found and not reader.faults:
        reader.fault(entry.place, "listen: names no address, such as 127.0.0.1:8377")
    return tuple(found)


def _read_tls(reader: Reader, entry: Entry | None) -> Tls | None:
    if entry is None:
        return None
    keys = reader.section(entry, "tls", ("cert", "key"))
    for key in ("cert", "key"):
        if key not in keys and isinstance(entry.value, MappingNode):
            reader.fault(entry.place, f"tls needs a {key}: the path of a file in PEM")
    cert, key_path = (_read_path(reader, keys.get(key), key) for key in ("cert", "key"))
    for name, path in (("cert", cert), ("key", key_path)):
        if path is not None:
            reader.places[name] = keys[name].value.place
        if path is not None and _is_missing(path):
            reader.fault(keys[name].value.place, f"{name}: there is no such file")
    return Tls(cert, key_path) if cert is not None and key_path is not None else None


def _is_missing(path: Path) -> bool:
    """Not what may not be looked at: whoever needs the file says so."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _read_path(reader: Reader, entry: Entry | None, what: str) -> Path | None:
    if entry is None:
        return None
    folder = folder_of(entry.place)
    return reader.value(entry, what, lambda text: parse_path(text, folder, reader.environment), None)
