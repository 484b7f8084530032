"""Secrets in sealed records, opened and sealed with the key of this machine: in a file and in a table alike.

Every machine on a database has the same key, so nothing but the sealed records is shared. The key is not wrapped for
each machine: a list of machines to admit and expel would be more machinery than one file to copy.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from busyd.credentials.files import KEY_NAME
from busyd.credentials.key import CredentialStoreUnreadable, StoreKey
from busyd.credentials.records import BUNDLE, Changes, SealedRecords
from busyd.credentials.sealing import is_of_newer_version, is_sealed, open_sealed, opens_any, seal
from busyd.credentials.webhooks import MASTER_NAME

WITNESS: Final = KEY_NAME
"""The name of a record that holds nothing: it tells a damaged record from one that another key has sealed."""


class Opened(Struct, frozen=True):
    """What is in sealed records."""

    texts: Mapping[str, str]
    """Name -> secret."""
    damaged: Mapping[str, CredentialStoreUnreadable]
    """Name -> what is wrong with a record that does not open although the key is the right one."""

    def require_sound(self) -> Mapping[str, str]:
        """The secrets. Raises CredentialStoreUnreadable where one is damaged."""
        for error in self.damaged.values():
            raise error
        return self.texts


class SealedSecrets:
    """Secrets in one place. Its methods block, and raise CredentialStoreUnreadable, and as the place."""

    def __init__(self, place: SealedRecords, key: StoreKey) -> None:
        self.place = place
        self._key = key

    def get(self, name: str) -> str | None:
        """The secret of this name, without opening the others; None where there is none."""
        records = self.place.read()
        if self.place.is_bundle:
            return self.open(records).texts.get(name)
        if name not in records or name == WITNESS:
            return None
        materials = self._materials()
        content = open_sealed(records[name], materials, name=name)
        if content is None:
            is_ours = opens_any(records, materials)
            raise self._damaged(name, records[name]) if is_ours else self._another_key(records)
        return content.decode()

    def open(self, records: Mapping[str, bytes] | None = None, *, also: bytes = b"") -> Opened:
        """All of them, those that there are or `records`, with the key or `also` another one."""
        records = self.place.read() if records is None else records
        if not records:
            return Opened({}, {})
        if self.place.is_bundle:
            return Opened(self._open_bundle(records[BUNDLE], also), {})
        materials = self._materials(also)
        contents = {name: open_sealed(sealed, materials, name=name) for name, sealed in records.items()}
        if all(content is None for content in contents.values()):
            raise self._another_key(records)
        contents.pop(WITNESS, None)
        return Opened(
            {name: content.decode() for name, content in contents.items() if content is not None},
            {name: self._damaged(name, records[name]) for name, content in contents.items() if content is None},
        )

    def change(self, name: str, change: Callable[[str | None], str | None]) -> None:
        """Change one, given what it is; None where there is none. What is damaged is replaced."""

        def work(records: Mapping[str, bytes]) -> Changes:
            opened = self.open(records)
            # A new key would overwrite passwords that a lost one could still decrypt.
            material = self._materials()[0] if records else self._key.material_or_new(fix=self._how_to_renew)
            return self.seal(opened.texts, {name: change(opened.texts.get(name))}, material=material)

        self.place.change(work)

    def seal_anew(self, material: bytes) -> None:
        """Seal all of them with another key, some of which may be already."""

        def work(records: Mapping[str, bytes]) -> Changes:
            texts = self.open(records, also=material).texts
            return self.seal(texts, texts, material=material)

        if self.place.read():
            self.place.change(work)

    def seal(self, texts: Mapping[str, str], changes: Mapping[str, str | None], *, material: bytes) -> Changes:
        """The records to write where some of `texts` change, None for one that is to go."""
        if self.place.is_bundle:
            left = {name: text for name, text in {**texts, **changes}.items() if text is not None}
            return {BUNDLE: seal(json.dumps(left).encode(), material, name=BUNDLE)}
        made = {
            name: None if text is None else seal(text.encode(), material, name=name) for name, text in changes.items()
        }
        return {WITNESS: seal(b"", material, name=WITNESS), **made}

    def seal_all(self, texts: Mapping[str, str]) -> Changes:
        """The records of a new place."""
        return self.seal({}, texts, material=self._key.material_or_new(fix=self._how_to_renew))

    @property
    def _how_to_renew(self) -> str:
        """What to do where the key is not the one that they were sealed with."""
        return f"restore the key, or {self._set_again}" if self.place.is_bundle else self._key.how_to_copy

    @property
    def _set_again(self) -> str:
        return f"remove {self.place.where} and store each password again with `busyd credential set NAME`"

    def _materials(self, also: bytes = b"") -> list[bytes]:
        if not self.place.is_bundle and self._key.is_missing:
            message = f"there are passwords in {self.place.where}, and no key for them here: no {self._key.path}"
            raise CredentialStoreUnreadable(message, fix=self._key.how_to_copy)
        return [*self._key.materials(fix=self._how_to_renew), *([also] if also else [])]

    def _open_bundle(self, sealed: bytes, also: bytes) -> dict[str, str]:
        where = self.place.where
        if is_of_newer_version(sealed):
            message = f"{where} was written by a newer busyd"
            raise CredentialStoreUnreadable(message, fix="upgrade busyd")
        if not is_sealed(sealed):
            message = f"{where} is damaged"
            raise CredentialStoreUnreadable(message, fix=self._set_again)
        content = open_sealed(sealed, self._materials(also), name=BUNDLE)
        if content is not None:
            with contextlib.suppress(ValueError):
                texts: dict[str, str] = json.loads(content)
                return texts
        message = f"{where} cannot be decrypted with the key from {self._key.path}, or was modified"
        raise CredentialStoreUnreadable(message, fix=self._how_to_renew)

    def _another_key(self, records: Mapping[str, bytes]) -> CredentialStoreUnreadable:
        where = self.place.where
        if all(map(is_of_newer_version, records.values())):
            message = f"the passwords in {where} were written by a newer busyd"
            return CredentialStoreUnreadable(message, fix="upgrade busyd")
        message = f"the passwords in {where} were not encrypted with the key of this machine ({self._key.path})"
        return CredentialStoreUnreadable(message, fix=self._key.how_to_copy)

    def _damaged(self, name: str, sealed: bytes) -> CredentialStoreUnreadable:
        if is_of_newer_version(sealed):
            message = f"the stored secret {name} in {self.place.where} was written by a newer busyd"
            return CredentialStoreUnreadable(message, fix="upgrade busyd")
        fix = f"store it again with `busyd credential set {name}`"
        if name == MASTER_NAME:
            fix = "restore its row from a dump, or delete it and give each webhook a new secret: `busyd webhook rotate`"
        message = f"the stored secret {name} in {self.place.where} is damaged"
        return CredentialStoreUnreadable(message, fix=fix)
