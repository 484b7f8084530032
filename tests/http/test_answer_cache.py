from multidict import CIMultiDict

from busyd.http.answer_cache import AnswerCache, CachedAnswer
from busyd.http.response import Finished


def answer(size: int) -> CachedAnswer:
    return CachedAnswer("anna", Finished(b"x" * size, CIMultiDict()), 1, None)


def test_the_last_answer_to_a_question_is_kept() -> None:
    cache = AnswerCache()
    assert cache.get("/a") is None
    cache.put("/a", answer(1000))
    cache.put("/a", answer(10))
    found = cache.get("/a")
    assert found is not None
    assert len(found.finished.body) == 10


def test_a_thousand_answers_are_kept_within_bounds() -> None:
    cache = AnswerCache()
    for number in range(1000):
        cache.put(f"/{number}", answer(16 * 1024))
    kept = [number for number in range(1000) if cache.get(f"/{number}") is not None]
    assert kept[-1] == 999
    assert len(kept) <= 128


def test_a_large_answer_is_not_kept() -> None:
    cache = AnswerCache()
    cache.put("/large", answer(16 * 1024 + 1))
    assert cache.get("/large") is None
