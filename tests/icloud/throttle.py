"""Throttling as production services met it: per account, 503, and a Retry-After that is too short to be obeyed.

Whoever comes back exactly when told is still blocked, and by coming prolongs the block.
"""

from collections import deque
from dataclasses import dataclass, field

from tests.icloud.exchange import Answer, empty
from tests.icloud.knobs import Knobs


@dataclass(slots=True)
class Throttle:
    """The state of one account; the numbers are its knobs."""

    arrivals: deque[float] = field(default_factory=deque)
    blocked_until: float = float("-inf")
    in_flight: int = 0

    def refusal(self, knobs: Knobs, now: float) -> Answer | None:
        """The 503 for a request arriving now, or None when it may pass. `in_flight` counts this request already."""
        self.arrivals.append(now)
        while self.arrivals and self.arrivals[0] <= now - knobs.throttle_window:
            self.arrivals.popleft()
        too_many = 0 < knobs.throttle_requests < len(self.arrivals)
        too_parallel = 0 < knobs.throttle_parallel < self.in_flight
        if now >= self.blocked_until and not too_many and not too_parallel:
            return None
        if knobs.throttle_requests or knobs.throttle_parallel:
            self.blocked_until = now + knobs.throttle_block
            self.arrivals.clear()
        answer = empty(503)
        if knobs.throttle_retry_after is not None:
            answer.headers.append(("Retry-After", str(knobs.throttle_retry_after)))
        return answer
