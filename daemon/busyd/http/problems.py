"""`/v1/problems`: what in the calendars could not be taken as it is, and what a person has accepted of it."""

from collections.abc import Sequence

from busyd.flow.accepting import NothingToAccept, UnknownProblem
from busyd.flow.backend import Backend
from busyd.flow.views import ProblemView
from busyd.http import web
from busyd.http.auth import Caller
from busyd.http.bodies import Problems
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.request_body import read_nothing
from busyd.http.response import json_response
from busyd.http.status import visible_problems


class ProblemsHandler:
    """Lists problems, and accepts those that do not matter."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def get_problems(self, call: Call) -> web.StreamResponse:
        problems = await visible_problems(self._backend, call.caller, problems=await self._backend.all_problems())
        return await json_response(Problems(problems), call.head)

    async def post_accept(self, call: Call) -> web.StreamResponse:
        """The object of the problem no longer makes windows incomplete. The same when it is accepted already."""
        problem = await self._named(call)
        try:
            found = await self._backend.accepted_problems.accept(problem, self._backend.clock.now())
        except (UnknownProblem, NothingToAccept) as error:
            raise _refused(error) from error
        return await json_response(await self._shown(found, call.caller), call.head)

    async def post_withdraw(self, call: Call) -> web.StreamResponse:
        """It makes them incomplete again."""
        problem = await self._named(call)
        try:
            found = await self._backend.accepted_problems.withdraw(problem)
        except (UnknownProblem, NothingToAccept) as error:
            raise _refused(error) from error
        return await json_response(await self._shown(found, call.caller), call.head)

    async def _named(self, call: Call) -> str:
        """The id in the path, if the caller may know of it. Raises HttpProblem."""
        await read_nothing(call, self._body_seconds)
        problem = call.values["problem"]
        if all(view.id != problem for view in await visible_problems(self._backend, call.caller)):
            message = f"there is no problem {problem!r}: the event may have changed or gone since it was listed"
            raise _refused(UnknownProblem(message, fix="`busyd problems list` shows those that there are now"))
        return problem

    async def _shown(self, found: Sequence[ProblemView], caller: Caller) -> Problems:
        seen = set(await visible_problems(self._backend, caller))
        return Problems([view for view in found if view in seen])


def _refused(error: UnknownProblem | NothingToAccept) -> HttpProblem:
    name, status = ("unknown-problem", 404) if isinstance(error, UnknownProblem) else ("nothing-to-accept", 409)
    return HttpProblem(name, status, detail=str(error), fix=error.fix)
