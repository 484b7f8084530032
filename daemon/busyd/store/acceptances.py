"""What a person has said of objects that cannot be understood: that one of them does not matter, as it is now."""

import hashlib

from msgspec import Struct

from busyd.period import Instant


class Acceptance(Struct, frozen=True):
    """One object whose problems a person has accepted. Another ETag is another object."""

    id: str
    """As `problem_id`."""
    calendar: str
    """Its label at that time, for people, as the rest."""
    href: str
    """Without the secret address of a feed."""
    uid: str
    reason: str
    at: Instant


def problem_id(href: str, etag: str) -> str:
    """Names an object as it is now: the same for as long as its server gives it this ETag."""
    return hashlib.blake2b(f"{href}\n{etag}".encode(errors="surrogatepass"), digest_size=6).hexdigest()
