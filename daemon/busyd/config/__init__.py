"""The configuration: YAML files in, one frozen `Config` or all faults at once out.

Start with `load.py`. A file becomes a tree of texts with their locations (`tree.py`), the sections take their values
from it (`connections.py`, `profiles.py`, by `reader.py`, `parsers.py`, `rules.py`), and the result is in `model.py`.
"""

from busyd.config.errors import ConfigFault, ConfigFaults, ConfigMissing, SourceLocation
from busyd.config.files import find_file_faults, find_password_faults, find_socket_faults
from busyd.config.load import find_config, load_config
from busyd.config.model import Config, ConnectionConfig, ProfileConfig, StoreConfig, Tls

__all__ = [
    "Config",
    "ConfigFault",
    "ConfigFaults",
    "ConfigMissing",
    "ConnectionConfig",
    "ProfileConfig",
    "SourceLocation",
    "StoreConfig",
    "Tls",
    "find_config",
    "find_file_faults",
    "find_password_faults",
    "find_socket_faults",
    "load_config",
]
