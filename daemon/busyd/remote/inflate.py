"""Decompression within limits: a few bytes on the wire must not become a gigabyte in memory. Pure."""

import zlib
from typing import Final

_CHUNK: Final = 256 * 1024
_RATIO_FLOOR: Final = 1024 * 1024
"""Below this size no ratio is suspicious."""
_GZIP: Final = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The limit is exceeded."""


class Undecodable(Exception):
    """The coding is unsupported, or the data is damaged or cut short. The text says which."""


class Inflater:
    """Takes the chunks of a body as they arrive, and returns the body. Identity, gzip or deflate."""

    def __init__(self, coding: str, *, most: int, ratio: int) -> None:
        """`coding` is the Content-Encoding header, `most` the limit of the result in bytes. Raises Undecodable."""
        self._coding = coding.strip().lower()
        if self._coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Undecodable("unsupported content coding")
        self._most = most
        self._ratio = ratio
        self._taken = 0
        self._size = 0
        self._body = bytearray()
        """In one piece: hundreds of small ones would leave holes that the allocator keeps for good."""
        self._engine: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> None:
        """Raises TooLarge as soon as a limit is exceeded, Undecodable for damaged data."""
        self._taken += len(chunk)
        if self._coding in ("", "identity"):
            self._keep(chunk)
            return
        if self._engine is None and chunk:
            self._engine = zlib.decompressobj(self._window_bits(chunk))
        try:
            while chunk and self._engine is not None:
                self._keep(self._engine.decompress(chunk, _CHUNK))
                chunk = self._engine.unconsumed_tail
                if self._engine.eof:
                    # RFC 1952 §2.2 allows further members; trailing zeros and the like are padding.
                    rest = self._engine.unused_data
                    self._engine = zlib.decompressobj(_GZIP) if rest[:2] == b"\x1f\x8b" else self._engine
                    chunk = rest if rest[:2] == b"\x1f\x8b" else b""
        except zlib.error:
            raise Undecodable("the compressed data is damaged") from None

    def finish(self) -> bytes:
        """The whole body. Raises Undecodable when the compressed stream was cut."""
        if self._engine is not None and not self._engine.eof:
            raise Undecodable("the compressed data is cut short")
        return bytes(self._body)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most or (self._size > _RATIO_FLOOR and self._size > self._taken * self._ratio):
            raise TooLarge
        self._body += piece

    def _window_bits(self, first: bytes) -> int:
        if self._coding != "deflate":
            return _GZIP
        # RFC 9110 §8.4.1.2 means zlib, but some servers send raw deflate; a zlib header says method 8.
        return zlib.MAX_WBITS if first[0] & 0x0F == 8 else -zlib.MAX_WBITS
