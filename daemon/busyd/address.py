"""Where busyd listens, as plain values: the configuration names it, listeners open it, the command line asks there."""

from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct


class TcpAddress(Struct, frozen=True):
    """An address and port of this machine."""

    host: str
    """An IP address without brackets, or a host name."""
    port: int
    """0 lets the system choose."""

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(Struct, frozen=True):
    """A socket in the file system."""

    path: Path

    @property
    def loopback(self) -> bool:
        """Only this machine can reach it."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


ListenAddress = TcpAddress | UnixAddress


def is_loopback(host: str) -> bool:
    """True for `localhost`, 127.0.0.0/8, ::1 and IPv4 loopback written as IPv6."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
