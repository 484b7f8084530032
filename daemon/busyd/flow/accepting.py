"""Accepting a problem: a person says that an object which cannot be understood does not matter, or takes that back."""

from collections.abc import Mapping

from busyd.errors import UserError
from busyd.flow.views import ProblemView, view_problem
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.store.acceptances import Acceptance
from busyd.store.ledger_thread import LedgerThread


class UnknownProblem(UserError):
    """There is no problem of this id, at least no longer."""


class NothingToAccept(UserError):
    """The problem makes no window incomplete, or was never accepted."""


class AcceptedProblems:
    """Keeps what was accepted: in the ledger first, then in what answers count."""

    def __init__(self, writer: IndexWriter, ledger: LedgerThread) -> None:
        self._writer = writer
        self._state = writer.state
        self._ledger = ledger

    async def accept(self, problem: str, now: Instant) -> list[ProblemView]:
        """Let windows be complete in spite of the object with this problem; its problems.

        Raises UnknownProblem, NothingToAccept, StorageError.
        """
        numbers = self._numbers(problem)
        noted = next((one for number in numbers for one in self._state.problems[number] if one.is_doubtful), None)
        if noted is None:
            message = f"the problem {problem} makes no answer incomplete"
            raise NothingToAccept(message, fix="leave it as it is")
        if problem not in self._state.problems.accepted:
            view = view_problem(self._state, noted)
            acceptance = Acceptance(problem, view.calendar, view.href, view.uid, view.reason, now)
            await self._ledger.accept(acceptance)
            self._state.problems.accepted[problem] = acceptance
        return await self._count_anew(numbers)

    async def withdraw(self, problem: str) -> list[ProblemView]:
        """Take an acceptance back; the problems of the object. Raises UnknownProblem, NothingToAccept, StorageError."""
        numbers = self._numbers(problem)
        if problem not in self._state.problems.accepted:
            message = f"the problem {problem} was not accepted"
            raise NothingToAccept(message, fix="`busyd problems list` shows which are")
        await self._ledger.withdraw([problem])
        self._state.problems.accepted.pop(problem, None)
        return await self._count_anew(numbers)

    async def follow(self, accepted: Mapping[str, Acceptance]) -> None:
        """Take what is accepted by now, here or at another daemon. Raises StorageError."""
        problems = self._state.problems
        accepted = {name: one for name, one in accepted.items() if name not in problems.ended}
        if changed := accepted.keys() ^ problems.accepted.keys():
            problems.accepted = accepted
            await self._count_anew([number for number, noted in problems.items() if noted[0].id in changed])

    async def forget_ended(self) -> None:
        """Drop what has ended because its object has changed. Raises StorageError."""
        ended = self._state.problems.ended
        if ended:
            await self._ledger.withdraw(sorted(ended))
            self._state.problems.ended = self._state.problems.ended - ended

    def _numbers(self, problem: str) -> list[int]:
        numbers = [number for number, noted in self._state.problems.items() if noted[0].id == problem]
        if not numbers:
            message = f"there is no problem {problem!r}: the event may have changed or gone since it was listed"
            raise UnknownProblem(message, fix="`busyd problems list` shows those that there are now")
        return numbers

    async def _count_anew(self, numbers: list[int]) -> list[ProblemView]:
        from busyd.index.loading import count_anew

        await count_anew(self._writer, numbers)
        return [view_problem(self._state, one) for number in numbers for one in self._state.problems.get(number, ())]
