"""Finds the configuration, reads all its files, and checks it as a whole. Changes nothing and uses no network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from busyd.address import ListenAddress
from busyd.config.connections import read_connections
from busyd.config.errors import ConfigFault, ConfigFaults, ConfigMissing, SourceLocation, quote
from busyd.config.model import DEFAULT_LISTEN, Config, Tls
from busyd.config.parsers import (
    parse_flag,
    parse_host,
    parse_listen,
    parse_origin,
    parse_path,
    parse_public_url,
    parse_zone,
)
from busyd.config.permission import why_unreadable
from busyd.config.profiles import ProfileReader
from busyd.config.reader import ConfigReader, folder_of
from busyd.config.store import read_store
from busyd.config.tree import Entry, MappingNode, Unreadable, merge_trees, read_tree
from busyd.ical.zones import is_database_name, zone_key

SYSTEM_CONFIG: Final = Path("/etc/busyd/config.yaml")
_PASSED_ON: Final = Path("/run/credentials")
"""What systemd passes on to a service is there only while the service runs."""

_KEYS: Final = (
    "listen",
    "public_url",
    "connections",
    "profiles",
    "tls",
    "behind_proxy",
    "hosts",
    "local_access",
    "cors",
    "time_zones",
    "log",
    "state",
    "store",
)


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """Read the file and `config.d/*.yaml` beside it.

    Raises ConfigFaults with everything that is wrong, and TryAgain on a temporary disk error.
    """
    reader = ConfigReader(environment)
    tree, files = _read_files(path, reader.faults)
    if tree is None:
        # References into a file that cannot be parsed would be reported as well.
        raise ConfigFaults(reader.faults)
    config = _read_config(reader, tree, files=files)
    if reader.faults:
        raise ConfigFaults(reader.faults)
    return config


def read_tree_of(path: Path) -> MappingNode:
    """What the file and `config.d/*.yaml` say together, with the place of every value. Raises ConfigFaults."""
    faults: list[ConfigFault] = []
    tree, _ = _read_files(path, faults)
    if tree is None or faults:
        raise ConfigFaults(faults)
    return tree


def find_config(explicit: Path | None, environment: Mapping[str, str], *, system: Path | None = None) -> Path:
    """`--config`, `$BUSYD_CONFIG`, the user's own, the system's. Raises ConfigMissing when none of them exists.

    A file that was named is returned even if it does not exist, so that a typing mistake never selects another file.
    """
    if explicit is not None:
        return explicit
    if named := environment.get("BUSYD_CONFIG"):
        return Path(named)
    usual = [folder / "busyd" / "config.yaml" for folder in _xdg(environment, "XDG_CONFIG_HOME", default=".config")]
    usual.append(system or SYSTEM_CONFIG)
    for path in usual:
        # Not `Path.exists`: an inaccessible file counts as present, and reading it will report the reason.
        if os.path.lexists(path):
            return path
    message = f"no configuration found (looked for {' and '.join(str(path) for path in usual)})"
    raise ConfigMissing(message, fix="create one with `busyd setup`, or pass --config FILE")


def written_state(path: Path, environment: Mapping[str, str]) -> Path | None:
    """`state:` of a configuration that may have faults elsewhere; None without the key, or when it is not YAML."""
    reader = ConfigReader(environment)
    tree, _ = _read_files(path, reader.faults)
    return _read_path(reader, tree.entries.get("state"), what="state") if tree is not None else None


def names_store(path: Path, environment: Mapping[str, str]) -> bool:
    """Whether a configuration that may have faults names a store, so that it is not in the state directory."""
    reader = ConfigReader(environment)
    tree, _ = _read_files(path, reader.faults)
    return tree is not None and "store" in tree.entries


def own_state(environment: Mapping[str, str]) -> Path:
    """The state directory of a user who runs busyd without a service manager. Raises ConfigMissing."""
    for folder in _xdg(environment, "XDG_STATE_HOME", default=".local/state"):
        return folder / "busyd"
    raise ConfigMissing("no state directory: HOME is not set", fix="pass --state DIR")


def _xdg(environment: Mapping[str, str], variable: str, *, default: str) -> list[Path]:
    # The XDG Base Directory Specification ignores relative paths.
    given = Path(environment.get(variable, ""))
    if given.is_absolute():
        return [given]
    home = environment.get("HOME")
    return [Path(home, default)] if home else []


def _read_files(path: Path, faults: list[ConfigFault]) -> tuple[MappingNode | None, tuple[Path, ...]]:
    tree: MappingNode | None = None
    folder = path.parent / "config.d"
    try:
        extra = sorted(entry for entry in folder.glob("*.yaml") if not entry.name.startswith("."))
    except OSError:
        faults.append(ConfigFault(SourceLocation(str(folder)), why_unreadable(folder)))
        extra = []
    whole = True
    for file in (path, *extra):
        try:
            file_tree = read_tree(file, faults)
        except Unreadable as unreadable:
            faults.append(unreadable.fault)
            whole = False
        else:
            tree = file_tree if tree is None else merge_trees(tree, file_tree, faults=faults)
    return (tree if whole else None), (path, *extra)


def _read_config(reader: ConfigReader, tree: MappingNode, *, files: tuple[Path, ...]) -> Config:
    keys = reader.known_only(tree.entries, "the configuration", known=_KEYS)
    connections = read_connections(reader, keys.get("connections"))
    profiles = ProfileReader(reader, connections).read_all(keys.get("profiles"))
    tls = _read_tls(reader, keys.get("tls"))
    behind_proxy = reader.value(keys.get("behind_proxy"), "behind_proxy", parse=parse_flag, default=False)
    listen = _read_listen(reader, keys.get("listen"), protected="tls" in keys or behind_proxy)
    if "store" in keys:
        reader.locations["store"] = keys["store"].location
    if not connections and not reader.faults:
        reader.warn(tree.location, "no connections are configured; `busyd setup` creates one")
    return Config(
        connections=connections,
        profiles=profiles,
        listen=listen,
        tls=tls,
        behind_proxy=behind_proxy,
        hosts=tuple(host for _, host in reader.values(keys.get("hosts"), "hosts", parse=parse_host)),
        public_url=reader.value(keys.get("public_url"), "public_url", parse=parse_public_url, default=""),
        local_access=reader.choice(
            keys.get("local_access"), "local_access", options=("freebusy", "none"), default="freebusy"
        ),
        cors=tuple(origin for _, origin in reader.values(keys.get("cors"), "cors", parse=parse_origin)),
        time_zones=_read_time_zones(reader, keys.get("time_zones")),
        log=reader.choice(keys.get("log"), "log", options=("text", "json"), default="text"),
        state=_read_path(reader, keys.get("state"), what="state"),
        store=read_store(reader, keys.get("store")),
        files=files,
        locations=reader.locations,
        warnings=tuple(str(warning) for warning in sorted(set(reader.warnings))),
    )


def _read_listen(reader: ConfigReader, entry: Entry | None, *, protected: bool) -> tuple[ListenAddress, ...]:
    if entry is None:
        return (DEFAULT_LISTEN,)
    folder = folder_of(entry.location)
    addresses: list[ListenAddress] = []
    for location, listen in reader.values(
        entry, "listen", parse=lambda text: parse_listen(text, folder, environment=reader.environment)
    ):
        if listen in addresses:
            reader.fault(location, f"listen: {listen} is listed twice")
        elif not listen.loopback and not protected:
            reader.fault(
                location,
                f"listen: other machines can reach {listen}, so add 'tls: {{cert: FILE, key: FILE}}', "
                "or 'behind_proxy: true' if a proxy provides TLS",
            )
        reader.locations[str(listen)] = location
        addresses.append(listen)
    if not addresses and not reader.faults:
        reader.fault(entry.location, "listen: no address is given, such as 127.0.0.1:8377")
    return tuple(addresses)


def _read_tls(reader: ConfigReader, entry: Entry | None) -> Tls | None:
    if entry is None:
        return None
    keys = reader.section(entry, "tls", known=("cert", "key"))
    for key in ("cert", "key"):
        if key not in keys and isinstance(entry.value, MappingNode):
            reader.fault(entry.location, f"tls needs a {key}, the path of a PEM file")
    cert, key_path = (_read_path(reader, keys.get(key), what=key) for key in ("cert", "key"))
    for name, path in (("cert", cert), ("key", key_path)):
        if path is not None:
            reader.locations[name] = keys[name].value.location
        if path is not None and not path.is_relative_to(_PASSED_ON) and _is_missing(path):
            reader.fault(keys[name].value.location, f"{name}: there is no such file")
    return Tls(cert, key_path) if cert is not None and key_path is not None else None


def _read_time_zones(reader: ConfigReader, entry: Entry | None) -> dict[str, str]:
    zones: dict[str, str] = {}
    for name, written in reader.mapping(entry, "time_zones").items():
        zone = reader.value(written, f"time_zones: {quote(name)}", parse=parse_zone, default="")
        key = zone_key(name)
        if not key:
            reader.fault(written.location, "time_zones: the name is empty")
        elif key in zones:
            reader.fault(written.location, f"time_zones: {quote(name)} is written twice, once in another spelling")
        elif is_database_name(name):
            reader.warn(
                written.location, f"time_zones: {quote(name)} is an IANA time zone itself, so this has no effect"
            )
        zones[key] = zone
    return zones


def _is_missing(path: Path) -> bool:
    """False for a file that cannot be accessed: whoever needs it will report that."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _read_path(reader: ConfigReader, entry: Entry | None, *, what: str) -> Path | None:
    if entry is None:
        return None
    folder = folder_of(entry.location)
    return reader.value(
        entry, what, parse=lambda text: parse_path(text, folder, environment=reader.environment), default=None
    )
