"""What a person has said of objects that cannot be understood: that one of them does not matter, as it is now."""

import hashlib

from msgspec import Struct

from busyd.period import Instant


class Acceptance(Struct, frozen=True):
    """One object whose problems a person has accepted. Another version is another object."""

    id: str
    """As `problem_id`."""
    calendar: str
    """Its label at that time, for people, as the rest."""
    href: str
    """Without the secret address of a feed."""
    uid: str
    reason: str
    at: Instant


def problem_id(href: str, version: str) -> str:
    """Names an object as it is now."""
    return hashlib.blake2b(f"{href}\n{version}".encode(errors="surrogatepass"), digest_size=6).hexdigest()
