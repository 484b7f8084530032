"""One long seeded run: changes on other devices, faults, polls, restarts and power cuts, under the oracle.

Nothing here knows what busyd does about any of it. Whatever happens, busy time is never called free; and once all
faults are over, some polls later, the answer is exactly the truth.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from busyd.credentials import Secret
from tests.chaos.changes import Changes
from tests.chaos.harness import Killed, World
from tests.icloud.faults import Fault, Kind

QUIET_EVERY = 25
"""Steps between two quiet times, on average."""
MAX_POLLS = 18
"""Polls a minute apart after which everything must be right again: an object that could not be had twice is tried again
after a quarter of an hour, a calendar believed to be gone after five minutes."""
BODIES: tuple[Kind, ...] = ("truncated", "html", "empty-body", "garbage", "half-body", "reset", "reset-after-headers")
STATUSES = (400, 401, 403, 404, 409, 410, 412, 421, 429, 500, 502, 503, 504, 507, 520)


@dataclass
class Figures:
    """What a run did."""

    steps: int = 0
    checks: int = 0
    polls: int = 0
    failed_polls: int = 0
    requests: int = 0
    quiet_times: int = 0
    most_polls_until_right: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{name}: {value}" for name, value in vars(self).items() if not isinstance(value, Counter)]
        for name in ("changes", "faults", "ends"):
            counted = ", ".join(f"{what} {count}" for what, count in sorted(getattr(self, name).items()))
            lines.append(f"{name}: {counted}")
        return "\n".join(lines)


class Chaos(Changes):
    """The dice, and what they do to a world."""

    def __init__(self, world: World, seed: int) -> None:
        self.figures = Figures()
        super().__init__(world, random.Random(seed), counted=self.figures.changes)
        world.meanwhile = self._meanwhile
        world.conflicts = ["anna/*", "anna/Club"]

    async def run(self, steps: int) -> Figures:
        """Raises WronglyFree or AssertionError at the first thing that is wrong."""
        await self.world.restart()
        for _ in range(steps):
            self.figures.steps += 1
            await self._step()
        await self._quiet()
        self.figures.checks = self.world.checks
        return self.figures

    async def _step(self) -> None:
        roll = self.dice.random()
        if roll < 0.40:
            self._change()
        elif roll < 0.62:
            self._break()
        elif roll < 0.66:
            await self._end()
        elif roll < 0.66 + 1 / QUIET_EVERY:
            await self._quiet()
        else:
            await self._poll()

    async def _poll(self) -> None:
        self.figures.polls += 1
        good = await self.world.poll(after=self.dice.choice((1, 6, 20, 66, 66, 66, 66, 130, 400, 1000)))
        self.figures.failed_polls += not good
        self.figures.requests += len(self.world.sent())
        self.world.mark()

    async def _quiet(self) -> None:
        """All faults end; some polls later everything must be right."""
        world, knobs = self.world, self.world.anna.knobs
        knobs.reset()
        knobs.idle_seconds = 0
        self.feed.faults.clear()
        world.meanwhile = lambda: None
        world.clock.advance(4000)  # past the longest rest, and the hour of a subscription
        if "Create a new" in world.trouble:
            self.figures.ends["new password"] += 1
            letters = "".join(chr(ord("a") + int(digit)) for digit in f"{self.figures.quiet_times:04}")
            world.anna.password = f"{letters}-aaaa-bbbb-cccc"
            world.secret = Secret(world.anna.password)
        for count in range(1, MAX_POLLS + 1):
            await world.poll()
            self.figures.requests += len(world.sent())
            world.mark()
            told = world.ask()
            right = told.complete and world.busy() == sorted(world.truth().values())
            if right and not world.trouble:
                self.figures.most_polls_until_right = max(self.figures.most_polls_until_right, count)
                break
        world.assert_right()
        assert not world.trouble, world.trouble
        self.figures.quiet_times += 1
        world.meanwhile = self._meanwhile

    async def _end(self) -> None:
        """The daemon stops, or is killed before or after one of its next commits; another one starts."""
        world = self.world
        how = self.dice.choice(("stopped", "killed before a commit", "killed after a commit"))
        self.figures.ends[how] += 1
        if how != "stopped":
            world.store.dies_in = self.dice.randint(1, 12)
            world.store.dies_after_commit = how == "killed after a commit"
            try:
                await self._poll()
            except Killed:
                self.figures.ends["in the middle of a poll"] += 1
        await world.restart()

    def _meanwhile(self) -> None:
        """Between two requests of a poll, now and then."""
        if self.dice.random() < 0.04:
            self._change()

    # What goes wrong.

    def _break(self) -> None:
        kind = self.dice.choice(
            ("body", "status", "knobs", "listing", "lag", "sync", "host", "feed", "lie", "lie", "mend")
        )
        self.figures.faults[kind] += 1
        getattr(self, f"_break_{kind}")()

    def _where(self) -> dict[str, object]:
        """Which requests a fault meets."""
        return {
            "times": self.dice.choice((1, 1, 2, 5, None)),
            "skip": self.dice.choice((0, 0, 1, 2, 3)),
            "method": self.dice.choice(("", "", "PROPFIND", "REPORT", "REPORT", "GET")),
            "path": self.dice.choice(("", "", "", "/work/", "/home/")),
        }

    def _break_body(self) -> None:
        at = self.dice.randrange(3000)
        self._anna.knobs.play(self.dice.choice(BODIES), at=at, **self._where())

    def _break_status(self) -> None:
        retry, status, where = self.dice.choice((None, None, 1, 30)), self.dice.choice(STATUSES), self._where()
        if status in (403, 404, 410):
            where["times"] = 1  # more often, and from every side, it would be no lie any more
        self._anna.knobs.play("status", status=status, retry_after=retry, **where)

    def _break_knobs(self) -> None:
        choose, knobs = self.dice.choice, self._anna.knobs
        knobs.reports_strip, knobs.blank_lines_before_data = choose((True, False)), choose((True, False))
        knobs.gzip, knobs.chunked = choose((True, False)), choose((True, False))
        knobs.created_and_deleted = choose(("404", "absent"))
        knobs.self_without_slash, knobs.shuffled_listing = choose((True, False)), choose((True, False))
        knobs.multiget_missing = choose(("404", "absent"))
        knobs.multiget_returns_at_most = choose((0, 0, 1, 7))
        knobs.sync_truncates_at = choose((0, 0, 1, 5))
        knobs.multistatus_type = choose(("text/xml", "text/html", ""))

    def _break_listing(self) -> None:
        choose, knobs = self.dice.choice, self._anna.knobs
        identifiers = [one.id for one in self._anna.calendars.values()]
        knobs.listing_hides = set(self.dice.sample(identifiers, 2)) if choose((True, False)) else set()
        knobs.listing_only_home = choose((True, False, False))
        # One that is neither listed nor there when it is asked itself is gone: that would be no lie any more.
        gone = choose((set(), {"work"}, {"home"})) - knobs.listing_hides
        knobs.gone_but_listed = set() if knobs.listing_only_home else gone

    def _break_lag(self) -> None:
        self.world.clock.advance(6)  # a lag that begins shows the past; going back to it is not simulated
        self._anna.knobs.lag_seconds = self.dice.choice((0.0, 1.0, 3.0, 5.0))
        self._anna.knobs.lag_token_ahead = self.dice.choice((True, False))

    def _break_sync(self) -> None:
        choose, knobs = self.dice.choice, self._anna.knobs
        knobs.invalid_token = choose(("403", "bare403", "409", "410", "everything", "500"))
        knobs.ctag_missing = choose((set(), {"work"}, {"work", "home"}))
        # Without a ctag nothing contradicts a sync that says there is nothing new: nobody could find both out at once.
        knobs.sync_answers_empty = choose((set(), {"work"}, {"home", "work"})) - knobs.ctag_missing

    def _break_lie(self) -> None:
        choose, knobs = self.dice.choice, self._anna.knobs
        knobs.member_hrefs = choose(("plain", "encoded", "absolute", "relative"))
        knobs.sync_denies = choose((0, 0, 1, 30))
        knobs.members_truncate_at = choose((0, 0, 2))
        knobs.listing_truncates_at = choose((0, 0, 0, 2))
        knobs.members_lost = choose((set(), set(), {"work"}, {"home", "work"}))
        knobs.multiget_lag_seconds = choose((0.0, 0.0, 12.0, 25.0, 60.0))

    def _break_host(self) -> None:
        choose, knobs = self.dice.choice, self._anna.knobs
        knobs.shard = choose(("serves", "404", "421", "401", "resets"))
        knobs.wrong_shard = choose(("421", "401"))
        knobs.spurious_401_every = choose((0, 0, 3, 7))
        knobs.throttle_requests = choose((0, 0, 20))
        if choose((True, False, False)):
            self._anna.migrate()

    def _break_feed(self) -> None:
        kind = self.dice.choice(BODIES)
        self.feed.faults.add(Fault(kind=kind, at=self.dice.randrange(1500), times=self.dice.choice((1, 3))))

    def _break_mend(self) -> None:
        self._anna.knobs.reset()
        self._anna.knobs.idle_seconds = 0
