"""Sealing secrets with the key of a machine: AES-256-GCM, in a file or a table alike. Pure.

Format, version 1: the line `busyd-credentials 1`, 16 bytes of salt, 12 of nonce, then what is sealed, with the line,
the salt and the name of the record authenticated: a record does not open under the name of another one. The AES key is
HKDF-SHA-256 of the key material and the salt; both salt and nonce are new for every record that is written.
"""

import contextlib
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER: Final = b"busyd-credentials 1\n"
_FAMILY: Final = b"busyd-credentials "
_SALT: Final = 16
_NONCE: Final = 12


def seal(content: bytes, material: bytes, *, name: str = "") -> bytes:
    """The record of this name."""
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    return _HEADER + salt + nonce + _cipher(material, salt).encrypt(nonce, content, _HEADER + salt + name.encode())


def open_sealed(sealed: bytes, materials: Iterable[bytes], *, name: str = "") -> bytes | None:
    """What the record of this name holds; None when none of the keys opens it, or it was changed."""
    from cryptography.exceptions import InvalidTag

    if not sealed.startswith(_HEADER):
        return None
    body = sealed[len(_HEADER) :]
    salt, nonce, content = body[:_SALT], body[_SALT : _SALT + _NONCE], body[_SALT + _NONCE :]
    for material in materials:
        with contextlib.suppress(InvalidTag, ValueError):
            return _cipher(material, salt).decrypt(nonce, content, _HEADER + salt + name.encode())
    return None


def opens_any(records: Mapping[str, bytes], materials: Iterable[bytes]) -> bool:
    """Whether any of the records, by name, is sealed with one of the keys."""
    keys = list(materials)
    return any(open_sealed(sealed, keys, name=name) is not None for name, sealed in records.items())


def is_sealed(content: bytes) -> bool:
    """Whether it has the format that this version writes."""
    return content.startswith(_HEADER)


def is_of_newer_version(content: bytes) -> bool:
    """Whether a newer busyd has sealed it."""
    return content.startswith(_FAMILY) and not is_sealed(content)


def _cipher(material: bytes, salt: bytes) -> "AESGCM":
    # cryptography is slow to load, so it is imported only to encrypt and decrypt.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=_HEADER).derive(material))
