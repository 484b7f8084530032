"""The configuration: YAML files in, one frozen `Config` or every fault at once out. No room but the service knows it.

`load.py` is the way in. A file becomes a tree of texts with places (`tree.py`), the sections take their values from it
(`account.py`, `person.py`, with `reader.py` and `value.py`), and `model.py` is what comes out.
"""

from busyd.config.errors import ConfigFaults, ConfigMissing, Fault, Place
from busyd.config.files import find_file_faults, find_password_faults, find_socket_faults
from busyd.config.load import find_config, find_state, load_config
from busyd.config.model import Config, ConnectionConfig, ProfileConfig, Tls

__all__ = [
    "Config",
    "ConfigFaults",
    "ConfigMissing",
    "ConnectionConfig",
    "Fault",
    "Place",
    "ProfileConfig",
    "Tls",
    "find_config",
    "find_file_faults",
    "find_password_faults",
    "find_socket_faults",
    "find_state",
    "load_config",
]
