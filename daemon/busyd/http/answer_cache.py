"""Finished answers by the text of their question, for questions that are asked again."""

from typing import Final

from msgspec import Struct

from busyd.http.response import Finished
from busyd.period import Instant

_MOST: Final = 128
"""Answers."""
_LARGEST: Final = 16 * 1024
"""Bytes of one of them, so that all together are 2 MB."""


class CachedAnswer(Struct, frozen=True):
    """A finished answer and what it was made from."""

    profile: str
    finished: Finished
    revision: int
    """Of the profile it was made from: the answer holds for no other one."""
    moment: Instant | None
    """The present it was made for, when the question was relative to it."""


class AnswerCache:
    """Keeps the last answers."""

    def __init__(self) -> None:
        self._answers: dict[str, CachedAnswer] = {}

    def get(self, question: str) -> CachedAnswer | None:
        """The answer last put in, whether or not it still holds."""
        return self._answers.get(question)

    def put(self, question: str, answer: CachedAnswer) -> None:
        """Keep the answer, unless it is a large one."""
        if len(answer.finished.body) > _LARGEST:
            return
        if len(self._answers) >= _MOST:
            self._answers.clear()
        self._answers[question] = answer
