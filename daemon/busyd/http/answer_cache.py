"""Finished answers by the text of their question, for questions that are asked again and again."""

from typing import Final

from msgspec import Struct

from busyd.http.response import Finished
from busyd.period import Instant

_MOST_BYTES: Final = 2 * 1024 * 1024
_MARKS: Final = 4096
"""Marks of questions that were asked once."""
_LONGEST_QUESTION: Final = 256


class CachedAnswer(Struct, frozen=True):
    """A finished answer and what it was made from."""

    profile: str
    finished: Finished
    revision: int
    """Of the profile it was made from: the answer holds for no other one."""
    moment: Instant | None
    """The present it was made for, when the question was relative to it."""


class AnswerCache:
    """Keeps the answers of questions that were asked before: most windows are asked for once."""

    def __init__(self) -> None:
        self._answers: dict[str, CachedAnswer] = {}
        self._bytes = 0
        self._asked = [0] * _MARKS

    def get(self, question: str) -> CachedAnswer | None:
        """The answer last put in, whether or not it still holds."""
        return self._answers.get(question)

    def put(self, question: str, answer: CachedAnswer) -> None:
        """Keep the answer if the question was asked before."""
        size = len(answer.finished.body)
        if len(question) > _LONGEST_QUESTION:
            return
        mark = hash(question)
        if self._asked[mark % _MARKS] != mark:
            self._asked[mark % _MARKS] = mark
            return
        if size > _MOST_BYTES // 8:
            return
        self.discard(question)
        if self._bytes + size > _MOST_BYTES:
            self._answers.clear()
            self._bytes = 0
        self._answers[question] = answer
        self._bytes += size

    def discard(self, question: str) -> None:
        """Forget an answer that no longer holds."""
        answer = self._answers.pop(question, None)
        if answer is not None:
            self._bytes -= len(answer.finished.body)

    @property
    def size(self) -> int:
        """Bytes of all answers that are kept."""
        return self._bytes
