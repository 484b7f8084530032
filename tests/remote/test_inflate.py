"""Bodies are inflated whole, or not at all; never beyond the limits."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.remote.inflate import Inflater, TooLarge, Undecodable

MIB = 1024 * 1024
BODIES = st.binary(max_size=3000)


def inflate(coding: str, *chunks: bytes, most: int = 64 * MIB, ratio: int = 200) -> bytes:
    inflater = Inflater(coding, most=most, ratio=ratio)
    for chunk in chunks:
        inflater.feed(chunk)
    return inflater.finish()


def bare_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


@given(BODIES, st.integers(1, 50))
def test_every_coding_gives_the_body_back_however_it_is_cut_into_chunks(body: bytes, size: int) -> None:
    for coding, packed in (
        ("", body),
        ("identity", body),
        ("gzip", gzip.compress(body)),
        ("X-GZIP ", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("deflate", bare_deflate(body)),
    ):
        assert inflate(coding, *(packed[at : at + size] for at in range(0, len(packed), size))) == body


def test_members_of_a_gzip_body_follow_each_other_and_padding_is_dropped() -> None:
    assert inflate("gzip", gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0") == b"one two"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_left_at_the_limit(coding: str) -> None:
    bomb = (gzip if coding == "gzip" else zlib).compress(b"\0" * (100 * MIB))
    with pytest.raises(TooLarge):
        inflate(coding, bomb)


def test_a_bomb_below_the_limit_is_known_by_its_ratio() -> None:
    with pytest.raises(TooLarge):
        inflate("gzip", gzip.compress(b"\0" * (10 * MIB)))
    assert len(inflate("gzip", gzip.compress(b"\0" * (MIB // 2)))) == MIB // 2


def test_a_body_of_just_the_limit_passes() -> None:
    assert len(inflate("", b"x" * 1000, most=1000)) == 1000
    with pytest.raises(TooLarge):
        inflate("", b"x" * 1000, b"y", most=1000)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip,deflate", "exotic"])
def test_a_coding_nobody_asked_for_is_refused(coding: str) -> None:
    with pytest.raises(Undecodable):
        inflate(coding, b"x")


@pytest.mark.parametrize("cut", [1, 5, 12, 30])
def test_a_cut_stream_is_not_a_short_body(cut: int) -> None:
    for coding, packed in (("gzip", gzip.compress(b"BEGIN:VCALENDAR" * 9)), ("deflate", zlib.compress(b"x" * 999))):
        with pytest.raises(Undecodable):
            inflate(coding, packed[:-cut] if cut < len(packed) else packed[:1])


def test_bytes_that_are_not_of_the_coding_are_refused() -> None:
    with pytest.raises(Undecodable):
        inflate("gzip", b"<html>not compressed</html>")


def test_an_empty_body_needs_no_coding() -> None:
    assert inflate("gzip") == b""
