"""The stored passwords, encrypted: in a file of the state directory, or in a database that several machines share.

A stolen backup with the file, or a dump of the database, is useless without the key. A key file beside the store, made
on first use, only protects the file against a casual look, which is why a systemd credential or BUSYD_KEY_FILE takes
precedence. The key is never in the database.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from busyd.credentials.files import CredentialMissing, is_credential_name
from busyd.credentials.key import CredentialStoreUnreadable, StoreKey, read_key
from busyd.credentials.records import BUNDLE, SealedFile, SealedRecords
from busyd.credentials.sealed_secrets import Opened, SealedSecrets
from busyd.credentials.secret import Secret
from busyd.ownership import as_owner_of

__all__ = ["CredentialStore", "CredentialStoreUnreadable"]


class CredentialStore:
    """The passwords stored by `busyd credential set`. Blocking. Raises StorageError where they are in a database."""

    def __init__(
        self,
        state_directory: Path,
        environment: Mapping[str, str],
        *,
        shared: SealedRecords | None = None,
        kept: Collection[str] = (),
        require_in_place: Callable[[], object] = lambda: None,
    ) -> None:
        """`shared` is where they are instead of the file, which then has `kept`: the password of that database.

        `require_in_place` is called where there is no file, and raises where there should be one.
        """
        self.is_shared = shared is not None
        """Whether they are in a database."""
        self._key = StoreKey(state_directory, environment)
        self._directory = state_directory
        self._file = SealedFile.of(state_directory, require_in_place=require_in_place)
        self._own = SealedSecrets(self._file, self._key)
        self._shared = SealedSecrets(shared, self._key) if shared is not None else self._own
        self.kept = frozenset(kept)
        """The names of those that are in the file nevertheless."""

    def where(self, name: str) -> str:
        """Where the password of this name is or would be, as a person is told of it."""
        secrets = self._secrets_with(name)
        return str(self._directory) if secrets is self._own else secrets.place.where

    def get(self, name: str) -> Secret | None:
        """The password of this name, or None. Raises CredentialStoreUnreadable."""
        with as_owner_of(self._directory):
            text = self._secrets_with(name).get(name)
        return None if text is None else Secret(text)

    def names(self) -> list[str]:
        """The names, sorted. Raises CredentialStoreUnreadable where the key is not theirs."""
        opened = self.open_all()
        return sorted({*opened.texts, *opened.damaged})

    def open_all(self) -> Opened:
        """All of them, and which are damaged. Raises CredentialStoreUnreadable where the key is not theirs."""
        with as_owner_of(self._directory):
            opened = self._shared.open()
            if not self.kept:
                return opened
            own = self._own.open().texts
        kept = {name: text for name, text in own.items() if name in self.kept}
        return Opened({**opened.texts, **kept}, opened.damaged)

    def bundle(self) -> bytes | None:
        """All of them as they are in a file, sealed; None without any. Of a database, without what is `kept`."""
        with as_owner_of(self._directory):
            if not self.is_shared:
                return self._file.read().get(BUNDLE)
            texts = self._shared.open().texts
            return self._own.seal_all(texts)[BUNDLE] if texts else None

    def set(self, name: str, secret: Secret) -> None:
        """Store a password; it is on the disk when this returns.

        Raises CredentialMissing, CredentialStoreUnreadable; TryAgain, Misconfigured on disk errors.
        """
        if not is_credential_name(name):
            message = f"{name!r} is not a valid credential name"
            raise CredentialMissing(message, fix="use letters, digits, '_', '-' and '.'; busyd-key is reserved")
        self._change(name, lambda _: secret.reveal())

    def get_or_set(self, name: str, make: Callable[[], Secret]) -> Secret:
        """The password of this name; a new one is stored where there is none. Raises as `set`."""
        known = self.get(name)
        if known is None:
            self._change(name, lambda text: make().reveal() if text is None else text)
            known = self.get(name)
            assert known is not None
        return known

    def remove(self, name: str) -> bool:
        """Remove a password; False when there is none of this name. Raises CredentialStoreUnreadable."""
        if name not in self.names():
            return False
        self._change(name, lambda _: None)
        return True

    def rotate_key(self, key_file: Path | None = None) -> Path:
        """Encrypt everything with another key: that of a file, else a new one in place of busyd's own; its file.

        Whatever ends it in between, the passwords can be read: the old key stays until the new one is needed.
        Raises CredentialMissing, CredentialStoreUnreadable; TryAgain, Misconfigured on disk errors.
        """
        given = read_key(key_file) if key_file is not None else b""
        all_secrets = [self._shared, self._own] if self.is_shared else [self._own]
        with as_owner_of(self._directory), self._file.locked():
            for secrets in all_secrets:
                secrets.open(also=given)  # before anything is changed
            material = given or self._key.begin_change()
            for secrets in all_secrets:
                secrets.seal_anew(material)
            return key_file if key_file is not None else self._key.finish_change()

    def _secrets_with(self, name: str) -> SealedSecrets:
        return self._own if name in self.kept else self._shared

    def _change(self, name: str, change: Callable[[str | None], str | None]) -> None:
        with as_owner_of(self._directory):
            self._secrets_with(name).change(name, change)
