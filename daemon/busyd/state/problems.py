"""What is wrong with single objects, and what a person has accepted of it."""

from collections.abc import Container, Mapping

from msgspec import Struct

from busyd.ical.facts import Problem
from busyd.store.acceptances import Acceptance, problem_id
from busyd.store.mirror import GHOST_ETAG, UNREAD_ETAG, ObjectDoubt


class ObjectProblem(Struct, frozen=True):
    """A problem of one calendar object, for `/v1/status`."""

    calendar: int
    href: str
    problem: Problem
    version: str = ""
    """As `version_of`."""
    is_doubtful: bool = False
    """Its object is not understood as a whole, so that windows are not complete."""

    @property
    def id(self) -> str:
        """Names the object as it is now."""
        return problem_id(self.href, self.version)


def version_of(connection: str, href: str, *, etag: str, doubts: Mapping[str, ObjectDoubt]) -> str:
    """What tells an object as it is now from every other object and version, so that an acceptance ends with it.

    Of one that is not handed out as listed it is the doubt about it: the version that is listed, and since when.
    """
    if etag in (UNREAD_ETAG, GHOST_ETAG):
        doubt = doubts.get(href)
        etag = f"{etag}?" if doubt is None else f"{etag}? {doubt.etag} {doubt.since}"
    return f"{connection} {etag}"


class KnownProblems(dict[int, tuple[ObjectProblem, ...]]):
    """Object -> what is wrong with it, never empty."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: dict[str, Acceptance] = {}
        """What a person has accepted, by id of the problem; as the ledger has it."""
        self.ended: frozenset[str] = frozenset()
        """Ids of what was accepted until the object changed, which the ledger still has."""

    def has_accepted(self, number: int) -> bool:
        """Whether a person has accepted that this object, as it is now, cannot be understood."""
        noted = self.get(number) if self.accepted else None
        return noted is not None and noted[0].id in self.accepted

    def note(self, number: int, noted: tuple[ObjectProblem, ...]) -> None:
        """Take what is wrong with an object now; with another version of it an acceptance ends."""
        known = self.pop(number, None)
        if noted:
            self[number] = noted
        if known is not None and known[0].id in self.accepted and (not noted or noted[0].id != known[0].id):
            del self.accepted[known[0].id]
            self.ended |= {known[0].id}

    def keep(self, calendars: Container[int]) -> None:
        """Let go of the objects of all other calendars."""
        for number in [number for number, noted in self.items() if noted[0].calendar not in calendars]:
            del self[number]
