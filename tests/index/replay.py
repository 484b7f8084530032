"""Somebody who only follows the log of changes: what they believe of a profile's time."""

import json
from collections.abc import Iterable
from typing import Any

from busyd.availability.snapshot import Snapshot
from busyd.period import FbType, Span, flatten
from tests.index.inside import at

TYPES = {fbtype.text: fbtype for fbtype in FbType}


class Follower:
    """Starts with what is known at a moment and applies each entry that it is told."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.span = snapshot.span
        self.spans = list(snapshot.between(snapshot.span))

    def take(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            told: dict[str, Any] = json.loads(body)
            start, end = at(told["start"].rstrip("Z")), at(told["end"].rstrip("Z"))
            before = {fbtype for a, b, fbtype in self.spans if a < end and start < b} or {FbType.FREE}
            assert TYPES[told["before"]] in before, told
            kept: list[Span] = []
            for a, b, fbtype in self.spans:
                kept += [(a, min(b, start), fbtype)] if a < start else []
                kept += [(max(a, end), b, fbtype)] if b > end else []
            self.spans = flatten([*kept, (start, end, TYPES[told["type"]])])
