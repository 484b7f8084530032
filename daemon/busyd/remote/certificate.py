"""A certificate as a server presented it. A value; looking for one is `probe.py`."""

from msgspec import Struct

from busyd.period import Instant


class Certificate(Struct, frozen=True):
    """What a certificate states, whether or not it may be trusted."""

    not_before: Instant
    not_after: Instant
    issuer: str
    """The issuing organisation or name: a company's name here gives an intercepting proxy away."""
