"""What the configuration says about the HTTP side, as plain values. No YAML, no sockets."""

from msgspec import Struct, field


class Limits(Struct, frozen=True):
    """What one client, or all of them together, may take."""

    header_bytes: int = 8190
    """Of the request line, and of each header field."""
    body_bytes: int = 1024 * 1024
    connections: int = 256
    reserve: int = 32
    """So many of the connections, the last ones, are only for tokens that were used before."""
    streams: int = 512
    """Streams of events, which are not among the connections: who follows takes no place from those who ask."""
    streams_of_token: int = 256
    header_seconds: float = 10.0
    """Until a new connection must have sent its first request."""
    idle_seconds: float = 30.0
    """Until the next request on a connection, and the longest that a client may leave an answer unread."""
    body_seconds: float = 10.0
    wrong_tokens: int = 10
    """Wrong tokens a minute from one client, before each further one has to wait."""


class EndpointSettings(Struct, frozen=True):
    """How the HTTP side is reached and by whom."""

    hosts: tuple[str, ...] = ()
    """Further names accepted in `Host`, beside the addresses listened on; without a port, any port will do."""
    behind_proxy: bool = False
    """Requests come through a proxy of the user: none is a local one. A proxy on this machine names its clients."""
    local_access: bool = True
    """Whether this machine may ask for free/busy without a token."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may read answers, as browsers write them: `https://example.org`."""
    public_url: str = ""
    """How others reach busyd; empty when nobody said."""
    limits: Limits = field(default_factory=Limits)
