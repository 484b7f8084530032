"""Looks names up on threads of its own, so that a name server which hangs holds up nobody else's names."""

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from busyd.own_thread import in_own_thread

_NUMERIC: Final = socket.AddressInfo.AI_NUMERICHOST | socket.AddressInfo.AI_NUMERICSERV


class OwnThreadResolver(AbstractResolver):
    """Each look-up has a thread: those of aiohttp share the few threads of the loop with everything else."""

    async def resolve(  # noqa: PLR0917 - the signature is aiohttp's
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError."""
        flags = socket.AddressInfo.AI_ADDRCONFIG
        found = await in_own_thread(
            lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags), name=f"look up {host}"
        )
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""
