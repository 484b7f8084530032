"""The way in: faults, throttling, the password, the host; only then a resource is looked at (`routes.py`)."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.icloud import auth, routes
from tests.icloud.accounts import Account
from tests.icloud.exchange import Answer, Call, empty
from tests.icloud.faults import BEFORE_DOING, Fault
from tests.icloud.feeds import Feed
from tests.icloud.places import Places

Decision = tuple[Answer, Fault | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides what to answer, and which fault is to bend the answer on its way."""

    places: Places
    feeds: dict[str, Feed]
    now: Callable[[], float]

    def decide(self, call: Call, account: Account | None, *, password: str, reused: bool) -> Decision:
        """`account` is the one whose name was given, `password` unchecked; `reused` tells of the connection."""
        if call.origin == "foreign":
            return empty(404), None
        if call.origin == "feeds" or call.path.startswith(("/published/", "/holidays/")):
            return self._feed(call, reused=reused)
        if account is None:
            return auth.challenge(), None
        account.requests_seen += 1
        fault = account.knobs.faults.take(call, reused_connection=reused)
        if fault is not None and fault.kind in BEFORE_DOING:
            return _instead(fault)
        refusal = self._refuse(call, account, password=password)
        if refusal is not None:
            if fault is not None:
                account.knobs.faults.give_back(fault)
            return refusal
        answer = routes.answer(call, account, places=self.places)
        if fault is not None and fault.kind == "twice":
            answer = routes.answer(call, account, places=self.places)
        if answer.status == 207:
            answer.content_type = account.knobs.multistatus_type
        return answer, fault

    def carry_out(self, call: Call, account: Account) -> None:
        """Do what a request asked for whose client has gone."""
        routes.answer(call, account, places=self.places)

    def _refuse(self, call: Call, account: Account, *, password: str) -> Decision | None:
        """Throttled, not let in, or at a host that does not want this account."""
        knobs = account.knobs
        throttled = account.throttle.refusal(knobs, self.now())
        if throttled is not None:
            return throttled, None
        spurious = knobs.spurious_401_every > 0 and account.requests_seen % knobs.spurious_401_every == 0
        if knobs.revoked or spurious or password != account.password:
            return auth.challenge(from_edge=knobs.combined_challenge), None
        if call.origin == "bootstrap":
            if not knobs.bootstrap_redirect:
                return None
            return empty(knobs.bootstrap_redirect, ("Location", self._redirect_target(call, account))), None
        behaviour = knobs.shard if call.origin == account.shard else knobs.wrong_shard
        match behaviour:
            case "serves":
                return None
            case "resets":
                return empty(421), Fault(kind="reset")
            case "401":
                return auth.challenge(), None
            case _:
                return empty(int(behaviour)), None

    def _redirect_target(self, call: Call, account: Account) -> str:
        """The shard, or a trap: three names for somebody else's server, and the way back to where one came from."""
        port = self.places.foreign.rpartition(":")[2]
        hosts = {
            "shard": self.places.of(account.shard),
            "http": f"http://127.0.0.1:{port}",
            "other-domain": f"http://localhost:{port}",
            "private-address": f"http://127.0.0.2:{port}",
            "loop": self.places.bootstrap,
        }
        return hosts[account.knobs.redirect_to] + call.path

    def _feed(self, call: Call, *, reused: bool) -> Decision:
        feed = self.feeds.get(call.path)
        if feed is None:
            return empty(404), None
        fault = feed.faults.take(call, reused_connection=reused)
        if fault is not None and fault.kind in BEFORE_DOING:
            return _instead(fault)
        return feed.answer(call), fault


def _instead(fault: Fault) -> Decision:
    """What comes instead of doing anything; a scripted 401 looks like every other one."""
    if fault.kind != "status":
        return fault.answer(), fault
    return (auth.challenge() if fault.status == 401 else fault.answer()), None
