"""Calendar object resources, payloads with their ETags: the statements."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from busyd.period import Instant
from busyd.store.members import TOMBSTONE_SECONDS, member_name, tag_of
from busyd.store.mirror import StoredObject, other_version_of
from busyd.store.statements.base import Statements
from busyd.store.statements.digests import check, checked_payload, digest_of

_IDENTITY: Final = ("calendar", "href", "uid", "tag")
"""What the digest of an object is of. The tag is that of its payload; an ETag that is not its own is fetched anew."""
OBJECT_COLUMNS: Final = ", ".join(f"object.{name}" for name in (*_IDENTITY, "digest"))
"""To be handed to `check_object`."""
_SELECT: Final = f"SELECT etag, payload, {OBJECT_COLUMNS} FROM object WHERE calendar=?"


class ObjectStatements(Statements):
    """The objects of a calendar."""

    def read_etags(self, calendar: int, hrefs: Iterable[str] | None = None) -> dict[str, str]:
        """Href -> ETag of everything mirrored, or of these; of an object with two versions, of the first."""
        if hrefs is not None:
            one = "SELECT href, etag FROM object WHERE calendar=? AND href=?"
            rows = (self._db.execute(one, (calendar, href)).fetchone() for href in hrefs)
            return dict(row for row in rows if row)
        query = "SELECT href, etag FROM object WHERE calendar=? AND href NOT LIKE ?"
        return dict(self._db.execute(query, (calendar, other_version_of("/%"))))

    def read_spellings(self, calendar: int) -> dict[str, str]:
        """Href -> how its server spells it, where that is another way."""
        return dict(
            self._db.execute("SELECT href, spelling FROM object WHERE calendar=? AND spelling<>''", (calendar,))
        )

    def record_spellings(self, calendar: int, spelled: Mapping[str, str]) -> None:
        """How the server spells hrefs; an empty one is canonical."""
        rows = [(spelling, calendar, href) for href, spelling in spelled.items()]
        self._db.executemany("UPDATE object SET spelling=? WHERE calendar=? AND href=?", rows)

    def read_uids(self, calendar: int, hrefs: Iterable[str]) -> dict[str, str]:
        """Href -> UID of what is mirrored under these hrefs."""
        query = f"SELECT {OBJECT_COLUMNS} FROM object WHERE calendar=? AND href=?"
        rows = [row for href in hrefs if (row := self._db.execute(query, (calendar, href)).fetchone())]
        for row in rows:
            check_object(row)
        return {row[1]: row[2] for row in rows}

    def read_payloads(self, calendar: int, hrefs: Iterable[str]) -> dict[str, StoredObject]:
        """What is mirrored under these hrefs, as far as it is."""
        rows = (self._db.execute(f"{_SELECT} AND href=?", (calendar, href)).fetchone() for href in hrefs)
        return {stored.href: stored for stored in (_stored(row) for row in rows if row)}

    def read_objects(self, calendar: int) -> list[StoredObject]:
        """All objects of a calendar, by href."""
        return [_stored(row) for row in self._db.execute(f"{_SELECT} ORDER BY href", (calendar,))]

    def objects_that_say(self, calendar: int, text: bytes) -> dict[str, str]:
        """Href -> UID of the objects with these bytes in them."""
        query = "SELECT href, uid FROM object WHERE calendar=? AND instr(payload, ?)>0 ORDER BY href"
        return dict(self._db.execute(query, (calendar, text)))

    def still_there(self, versions: Mapping[int, tuple[bytes, str]]) -> set[int]:
        """The objects that have this payload and this ETag: another daemon may have written others meanwhile."""
        query = "SELECT 1 FROM object WHERE id=? AND tag=? AND etag=?"
        return {
            number
            for number, (payload, etag) in versions.items()
            if self._db.execute(query, (number, tag_of(payload), etag)).fetchone() is not None
        }

    def read_objects_by_id(self, numbers: Iterable[int]) -> dict[int, StoredObject]:
        """The objects of these ids that exist."""
        query = _SELECT.replace("calendar=?", "id=?")
        rows = ((number, self._db.execute(query, (number,)).fetchone()) for number in numbers)
        return {number: _stored(row) for number, row in rows if row}

    def record_uids(self, uids: Mapping[int, str]) -> None:
        """The UIDs of objects that could not be read when they were stored."""
        for number, uid in uids.items():
            row = self._db.execute(f"SELECT {OBJECT_COLUMNS} FROM object WHERE id=?", (number,)).fetchone()
            if row is not None:
                check_object(row)
                digest = digest_of((row[0], row[1], uid, row[3]))
                self._db.execute("UPDATE object SET uid=?, digest=? WHERE id=?", (uid, digest, number))

    def shared_uids(self) -> list[tuple[int, str, int, str]]:
        """Calendar, UID, number of objects, and the href of one, for every UID that several objects of one have."""
        return self._db.execute(
            "SELECT calendar, uid, COUNT(*), MIN(href) FROM object WHERE uid<>'' GROUP BY calendar, uid"
            " HAVING COUNT(*)>1 ORDER BY calendar, uid"
        ).fetchall()

    def put_object(self, calendar: int, stored: StoredObject) -> int:
        """Insert or replace an object; its id, which stays the same when it is replaced."""
        member, tag = member_name(stored.href), tag_of(stored.payload)
        digest = digest_of((calendar, stored.href, stored.uid, tag))
        number, revision = self._db.execute(
            "INSERT INTO object (calendar, href, etag, uid, payload, member, tag, digest, revision)"
            " VALUES (?1,?2,?3,?4,?5,?6,?7,?8, COALESCE((SELECT revision FROM calendar WHERE id=?1), 0) + 1)"
            " ON CONFLICT (calendar, href) DO UPDATE SET etag=excluded.etag, uid=excluded.uid,"
            " payload=excluded.payload, tag=excluded.tag, digest=excluded.digest,"
            " salt=CASE WHEN object.tag=excluded.tag THEN object.salt ELSE '' END,"
            " revision=CASE WHEN object.tag=excluded.tag THEN object.revision ELSE excluded.revision END"
            " RETURNING id, revision",
            (calendar, stored.href, stored.etag, stored.uid, stored.payload, member, tag, digest),
        ).fetchone()
        newer = "UPDATE calendar SET revision=?2 WHERE id=?1 AND revision<?2"
        self.has_changed_members |= self._db.execute(newer, (calendar, revision)).rowcount > 0
        self._db.execute("DELETE FROM tombstone WHERE calendar=? AND member=?", (calendar, member))
        return int(number)

    def forget_objects(self, calendar: int, hrefs: Iterable[str], *, at: Instant) -> dict[int, tuple[str, str]]:
        """Delete objects that are proved to be gone: the ids they had, with href and UID. Members leave tombstones."""
        gone = {}
        for href in hrefs:
            query = "DELETE FROM object WHERE calendar=? AND href=? RETURNING id, uid, member, tag"
            for number, uid, member, tag in self._db.execute(query, (calendar, href)).fetchall():
                gone[number] = href, uid
                if member is not None and tag:
                    self._bury(calendar, member, at=at)
        return gone

    def _bury(self, calendar: int, member: str, *, at: Instant) -> None:
        """Note that a member is gone, and forget those that went so long ago that nobody need be told."""
        self.has_changed_members = True
        self._db.execute("UPDATE calendar SET revision=revision+1 WHERE id=?", (calendar,))
        self._db.execute(
            "INSERT INTO tombstone (calendar, member, revision, removed)"
            " SELECT id, ?, revision, ? FROM calendar WHERE id=?"
            " ON CONFLICT (calendar, member) DO UPDATE SET revision=excluded.revision, removed=excluded.removed",
            (member, at, calendar),
        )
        query = "DELETE FROM tombstone WHERE calendar=? AND removed<? RETURNING revision"
        told = [row[0] for row in self._db.execute(query, (calendar, at - TOMBSTONE_SECONDS)).fetchall()]
        if told:
            query = "UPDATE calendar SET forgotten=?1 WHERE id=?2 AND forgotten<?1"
            self._db.execute(query, (max(told), calendar))

    def mark_unread(self, calendar: int, hrefs: Iterable[str], *, etag: str) -> dict[int, str]:
        """Note objects that are listed but could not be had: what is mirrored stays. `etag` says how it stands.

        Returns id -> href of those of which it has nothing.
        """
        without_payload: dict[int, str] = {}
        for href in hrefs:
            row = self._db.execute(
                "INSERT INTO object (calendar, href, etag, uid, payload, member, digest) VALUES (?,?,?,'',?,?,?)"
                " ON CONFLICT (calendar, href) DO UPDATE SET etag=excluded.etag RETURNING id, payload",
                (calendar, href, etag, b"", member_name(href), digest_of((calendar, href, "", ""))),
            ).fetchone()
            if not row[1]:
                without_payload[row[0]] = href
        return without_payload

    def objects_with_payload(self, calendar: int, hrefs: Iterable[str]) -> dict[int, str]:
        """Id -> href of those of which the mirror has something."""
        query = "SELECT id FROM object WHERE calendar=? AND href=? AND length(payload)>0"
        rows = ((href, self._db.execute(query, (calendar, href)).fetchone()) for href in hrefs)
        return {row[0]: href for href, row in rows if row}


def check_object(columns: Sequence[Any], payload: bytes | None = None) -> None:
    """Check an object by its OBJECT_COLUMNS, and its payload where that was read.

    Raises msgspec.ValidationError for one that is not as it was written.
    """
    check(columns[:-1], columns[-1])
    if payload is not None:
        checked_payload(payload, columns[3])


def _stored(row: Sequence[Any]) -> StoredObject:
    check_object(row[2:], row[1])
    return StoredObject(row[3], row[0], row[4], row[1])
