from multidict import CIMultiDict

from busyd.http.answer_cache import AnswerCache, CachedAnswer
from busyd.http.response import Finished


def answer(size: int) -> CachedAnswer:
    return CachedAnswer("anna", Finished(b"x" * size, CIMultiDict()), 1, None)


def ask_twice(cache: AnswerCache, question: str, *, size: int) -> None:
    for _ in range(2):
        cache.put(question, answer(size))


def test_only_what_is_asked_again_is_kept() -> None:
    cache = AnswerCache()
    cache.put("/a", answer(10))
    assert cache.get("/a") is None
    cache.put("/a", answer(10))
    assert cache.get("/a") is not None


def test_a_thousand_answers_are_kept_within_bounds() -> None:
    cache = AnswerCache()
    sizes = []
    for number in range(1000):
        ask_twice(cache, f"/{number}", size=100_000)
        sizes.append(cache.size)
    assert 1024 * 1024 < max(sizes) <= 2 * 1024 * 1024
    assert cache.get("/999") is not None


def test_one_large_answer_does_not_replace_all_others() -> None:
    cache = AnswerCache()
    ask_twice(cache, "/small", size=10)
    ask_twice(cache, "/large", size=1024 * 1024)
    assert cache.get("/small") is not None
    assert cache.get("/large") is None


def test_a_new_answer_replaces_the_old_one() -> None:
    cache = AnswerCache()
    ask_twice(cache, "/a", size=1000)
    cache.put("/a", answer(10))
    assert cache.size == 10
    cache.discard("/a")
    assert cache.size == 0
