"""An Apple Account as CalDAV sees it: a number, an app-specific password, addresses, collections, and its switches."""

import base64
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import RLock

from tests.icloud.calendars import Access, Calendar, Share, StoredObject
from tests.icloud.knobs import Knobs
from tests.icloud.throttle import Throttle
from tests.icloud.tokens import mint_etags, mint_token


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail iCloud sends on its own to a guest: "invitation", "update" or "cancel"."""

    kind: str
    guest: str
    uid: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deleted name or UID, refused again until this time."""

    key: str
    at: float


@dataclass(slots=True, kw_only=True)
class Account:
    """`shard` names the origin its home-set points to: "shard" or "other-shard"."""

    user: str
    password: str
    dsid: str
    display_name: str
    now: Callable[[], float]
    lock: RLock
    addresses: list[str] = field(default_factory=list)
    shard: str = "shard"
    knobs: Knobs = field(default_factory=Knobs)
    throttle: Throttle = field(default_factory=Throttle)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    removed_calendars: dict[str, Calendar] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    share_notifications: Counter[str] = field(default_factory=Counter)
    requests_seen: int = 0
    _tombstones: list[Tombstone] = field(default_factory=list)
    _etags: Iterator[str] = field(default_factory=mint_etags)

    def __post_init__(self) -> None:
        for kind in ("inbox", "outbox", "notification"):
            self.calendars[kind] = self._collection(id=kind, name=None, kind=kind)

    @property
    def principal_token(self) -> str:
        """The opaque name of the principal, as used in ORGANIZER and ATTENDEE values."""
        return "a" + base64.urlsafe_b64encode(self.dsid.encode()).decode().rstrip("=")

    @property
    def user_addresses(self) -> list[str]:
        """The forms of calendar-user-address-set; the first mailto is the preferred one."""
        paths = [f"/{self.dsid}/principal", f"/{self.principal_token}/principal/", f"urn:uuid:{self.dsid}"]
        return paths + [f"mailto:{address}" for address in [self.user, *self.addresses]]

    @property
    def home_ctag(self) -> str:
        state = [f"{calendar.id}{calendar.revision}" for calendar in self.calendars.values()]
        return mint_token(" ".join([self.dsid, *state]), sum(item.revision for item in self.calendars.values()))

    def add_calendar(
        self,
        name: str,
        *,
        id: str | None = None,
        color: str | None = "#1BADF8FF",
        symbolic_color: str | None = None,
        components: tuple[str, ...] = ("VEVENT",),
        shared: Share = "",
        privileges: Access | None = None,
        subscribed_source: str | None = None,
        transparent: bool | None = None,
        order: int | None = None,
        timezone: str | None = None,
    ) -> Calendar:
        """Make a calendar as its owner would on a phone.

        `shared`: "owner" (mine, shared to others), "read-only" or "read-write" (somebody else's, 64-character id).
        `subscribed_source`: the address of a feed; the collection then lists as subscribed and has no objects.
        `privileges` overrides what follows from `shared`; "write-content" is the set without the `write` aggregate,
        "properties-only" may change the look of the calendar and no event.
        """
        follows: dict[Share, Access] = {"read-only": "read-only", "read-write": "read-write"}
        with self.lock:
            foreign = shared in follows
            made = self._collection(
                id=id or (secrets.token_hex(32) if foreign else str(uuid.uuid4()).upper()),
                name=name,
                kind="subscribed" if subscribed_source else "calendar",
                components=components,
                color=color,
                symbolic_color=symbolic_color,
                order=order,
                timezone=timezone,
                transparent=transparent,
                shared=shared,
                access=privileges or follows.get(shared, "all"),
                subscribed_source=subscribed_source,
            )
            if made.id in self.calendars:
                message = f"{self.user} has a calendar {made.id} already"
                raise ValueError(message)
            self.calendars[made.id] = made
            return made

    def add_default_calendars(self) -> None:
        """What a new account starts with: Home, Work, and the empty container of the old Reminders."""
        self.add_calendar("Home", id="home", color="#1BADF8FF", symbolic_color="blue", order=1)
        self.add_calendar("Work", id="work", color="#CC73E1FF", symbolic_color="purple", order=2)
        self.add_calendar("Reminders", id="tasks", color="#FF9500FF", components=("VTODO",), order=3)

    def remove_calendar(self, id: str) -> Calendar:
        """Deleted or unshared on another device: 404 from now on, and no longer listed."""
        with self.lock:
            gone = self.calendars.pop(id)
            self.removed_calendars[id] = gone
            return gone

    def migrate(self) -> None:
        """Move the account to the other shard; what the old one says from now on is the `wrong_shard` knob."""
        self.shard = "other-shard" if self.shard == "shard" else "shard"

    @property
    def homes(self) -> tuple[str, ...]:
        """The names of the homes that the principal names. The others go on answering."""
        named = {"own": ("calendars",), "both": ("calendars", "team"), "team": ("team",)}
        return named[self.knobs.homes]

    def home_of(self, id: str) -> str:
        """The name of the home in which a collection is."""
        return "team" if id in self.knobs.team_calendars else "calendars"

    def find_uid(self, uid: str) -> tuple[Calendar, StoredObject] | None:
        """Where in the whole account an object with that UID is."""
        for calendar in self.calendars.values():
            for stored in calendar.objects().values():
                if stored.uid == uid:
                    return calendar, stored
        return None

    def bury(self, *keys: str) -> None:
        """Remember a deleted path or UID."""
        self._tombstones.extend(Tombstone(key, self.now()) for key in keys if key)

    def is_buried(self, key: str) -> bool:
        horizon = self.now() - self.knobs.tombstone_seconds
        self._tombstones = [tombstone for tombstone in self._tombstones if tombstone.at > horizon]
        return any(tombstone.key == key for tombstone in self._tombstones)

    def mails_per_guest(self) -> Counter[str]:
        return Counter(mail.guest for mail in self.mails)

    def _collection(self, **described: object) -> Calendar:
        return Calendar(
            next_etag=lambda: next(self._etags),
            now=self.now,
            lock=self.lock,
            **described,  # type: ignore[arg-type]
        )
