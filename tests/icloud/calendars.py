"""One collection of an account: its objects, every state it ever had, and the tokens that name those states.

Nothing here is HTTP. A change made through this class is a change made on another device; a change a client makes
comes through `writes.py`, which calls the same methods.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Literal, NamedTuple

from tests.icloud import content
from tests.icloud.tokens import mint_token

Kind = Literal["calendar", "subscribed", "inbox", "outbox", "notification"]
Share = Literal["", "owner", "read-only", "read-write"]
Access = Literal["all", "write-content", "read-write", "read-only", "properties-only"]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as stored: CRLF line ends, otherwise byte for byte what was put."""

    name: str
    text: str
    etag: str
    uid: str


class Change(NamedTuple):
    """A member's last state within a span of revisions; `current` is None when it is gone."""

    revision: int
    name: str
    current: StoredObject | None
    existed_before: bool


class Moment(NamedTuple):
    """A revision came to be at this time; `name` is the member it changed, or None for the collection itself."""

    revision: int
    at: float
    name: str | None


@dataclass(slots=True, kw_only=True)
class Calendar:
    """A calendar, or one of the collections beside them. `id` is the last path segment."""

    id: str
    name: str | None
    next_etag: Callable[[], str]
    now: Callable[[], float]
    lock: RLock
    kind: Kind = "calendar"
    components: tuple[str, ...] = ("VEVENT",)
    color: str | None = None
    symbolic_color: str | None = None
    order: int | None = None
    timezone: str | None = None
    transparent: bool | None = None
    shared: Share = ""
    access: Access = "all"
    subscribed_source: str | None = None
    notified_sharees: int = 0
    etag: str = ""
    revision: int = 1
    _versions: dict[str, list[tuple[int, StoredObject | None]]] = field(default_factory=dict)
    _journal: list[Moment] = field(default_factory=list)
    _tokens: dict[str, int] = field(default_factory=dict)
    _token_scope: int = 0

    def __post_init__(self) -> None:
        self.etag = self.next_etag()
        self._journal.append(Moment(self.revision, float("-inf"), None))

    @property
    def writable(self) -> bool:
        return self.kind == "calendar" and self.access not in ("read-only", "properties-only")

    def put(self, name: str, text: str, *, etag: str | None = None) -> StoredObject:
        """Create or replace an object without any of the server's checks, as another device or a sharee would."""
        with self.lock:
            text = content.with_crlf(text)
            stored = StoredObject(name, text, etag or self.next_etag(), content.uid_of(text))
            self._record(name, stored)
            return stored

    def delete(self, name: str) -> None:
        """Remove an object; `KeyError` where there is none."""
        with self.lock:
            if self.get(name) is None:
                raise KeyError(name)
            self._record(name, None)

    def rename(self, name: str) -> None:
        with self.lock:
            self.name = name
            self._record(None, None)

    def touch_collection(self) -> None:
        """Some property of the collection changed: ctag and token move, no member does."""
        with self.lock:
            self._record(None, None)

    def housekeeping(self, *names: str) -> None:
        """Give objects (all, if none is named) a new ETag with the same content, as iCloud does on its own."""
        with self.lock:
            for name in names or tuple(self.objects()):
                current = self.get(name)
                if current is None:
                    raise KeyError(name)
                self.put(name, current.text)

    def replace_silently(self, name: str, text: str) -> None:
        """Other content under the same ETag, the same ctag and no sync entry: what only a full re-read can find."""
        with self.lock:
            revision, current = self._versions[name][-1]
            if current is None:
                raise KeyError(name)
            text = content.with_crlf(text)
            self._versions[name][-1] = (revision, StoredObject(name, text, current.etag, content.uid_of(text)))

    def expire_tokens(self) -> None:
        """Forget every sync token handed out; the ctag takes a new value as well, since it is the token."""
        with self.lock:
            self._tokens.clear()
            self._token_scope += 1

    def get(self, name: str, revision: int | None = None) -> StoredObject | None:
        """The object now, or as it was at a revision."""
        upto = self.revision if revision is None else revision
        for at, stored in reversed(self._versions.get(name, ())):
            if at <= upto:
                return stored
        return None

    def objects(self, revision: int | None = None) -> dict[str, StoredObject]:
        with self.lock:
            states = ((name, self.get(name, revision)) for name in self._versions)
            return {name: stored for name, stored in states if stored is not None}

    def revision_seen_after(self, lag: float) -> int:
        """The newest revision at least `lag` seconds old: what listings and reports know of."""
        if lag <= 0:
            return self.revision
        horizon = self.now() - lag
        return next((moment.revision for moment in reversed(self._journal) if moment.at <= horizon), 1)

    def changes(self, since: int, upto: int) -> list[Change]:
        """Each member changed after `since` and not after `upto`, once, in the order of its last change."""
        last = {moment.name: moment.revision for moment in self._journal if since < moment.revision <= upto}
        found = [
            Change(revision, name, self.get(name, upto), self.get(name, since) is not None)
            for name, revision in last.items()
            if name is not None
        ]
        return sorted(found, key=lambda change: change.revision)

    def properties_changed(self, since: int, upto: int) -> bool:
        return any(moment.name is None and since < moment.revision <= upto for moment in self._journal)

    def token(self, revision: int) -> str:
        """The sync token (and ctag) of a revision, remembered as handed out."""
        token = mint_token(f"{id(self)} {self._token_scope}", revision)
        self._tokens[token] = revision
        return token

    def revision_of(self, token: str) -> int | None:
        """The revision a token stands for; None for one never handed out, or expired."""
        return self._tokens.get(token)

    def _record(self, name: str | None, stored: StoredObject | None) -> None:
        self.revision += 1
        self.etag = self.next_etag()
        self._journal.append(Moment(self.revision, self.now(), name))
        if name is not None:
            self._versions.setdefault(name, []).append((self.revision, stored))
