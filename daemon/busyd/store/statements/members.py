"""The members of served collections: the statements that read them. `put_object` and `forget_objects` write them."""

import secrets
from collections.abc import Iterable

from busyd.store.members import CollectionMark, Member, MemberChange, MemberContent, MirroredMember
from busyd.store.statements.base import Statements
from busyd.store.statements.digests import checked_payload


class MemberStatements(Statements):
    """Members by their names."""

    def read_marks(self, calendars: Iterable[int]) -> dict[int, CollectionMark]:
        """How far the changes of these calendars have come, of those that exist."""
        query = "SELECT epoch, revision, forgotten FROM calendar WHERE id=?"
        rows = ((number, self._db.execute(query, (number,)).fetchone()) for number in calendars)
        return {number: CollectionMark(*row) for number, row in rows if row}

    def read_members(self, calendar: int) -> list[Member]:
        """All members of a calendar, by name."""
        query = (
            "SELECT member, tag || salt, revision, length(payload) FROM object WHERE calendar=? AND member IS NOT NULL"
            " AND tag<>'' ORDER BY member"
        )
        return [Member(*row) for row in self._db.execute(query, (calendar,))]

    def member_names(self, calendar: int, numbers: Iterable[int] | None) -> list[str]:
        """The names of those of these objects that are members; of all without them."""
        query = "SELECT member FROM object WHERE calendar=? AND member IS NOT NULL AND tag<>''"
        if numbers is None:
            return [row[0] for row in self._db.execute(f"{query} ORDER BY member", (calendar,))]
        rows = (self._db.execute(f"{query} AND id=?", (calendar, number)).fetchone() for number in numbers)
        return sorted(row[0] for row in rows if row)

    def read_contents(self, calendar: int, names: Iterable[str], *, most: int) -> dict[str, MemberContent | None]:
        """The first of these names, or more of them, with what they are: None where there is no such member.

        Ends with the member that makes it more than `most` bytes.
        """
        query = "SELECT tag, payload, salt FROM object WHERE calendar=? AND member=? AND tag<>'' ORDER BY id"
        found: dict[str, MemberContent | None] = {}
        size = 0
        for name in names:
            row = self._db.execute(query, (calendar, name)).fetchone()
            found[name] = MemberContent(row[0] + row[2], checked_payload(row[1], row[0])) if row else None
            size += len(row[1]) if row else 0
            if size > most:
                break
        return found

    def read_changes(self, calendar: int, *, after: int, limit: int) -> tuple[CollectionMark, list[MemberChange]]:
        """Members changed or gone after a revision, the oldest change first, at most so many; and how far that is.

        After revision 0 nothing is told of what is gone: whoever asks knows nothing yet.
        """
        mark = self.read_marks((calendar,)).get(calendar) or CollectionMark("", 0, 0)
        rows = self._db.execute(
            "SELECT member, tag || salt, revision FROM object WHERE calendar=?1 AND revision>?2 AND member IS NOT NULL"
            " AND tag<>'' UNION ALL"
            " SELECT member, '', revision FROM tombstone WHERE calendar=?1 AND revision>?2 AND ?2>0"
            " ORDER BY revision LIMIT ?3",
            (calendar, after, limit),
        )
        return mark, [MemberChange(*row) for row in rows]

    def read_member(self, calendar: int, name: str) -> MirroredMember | None:
        """A member with what its server calls it; None when there is none, not even one without bytes."""
        query = "SELECT href, spelling, etag, salt, payload, tag FROM object WHERE calendar=? AND member=? ORDER BY id"
        row = self._db.execute(query, (calendar, name)).fetchone()
        if row is None:
            return None
        href, spelling, etag, salt, payload, tag = row
        return MirroredMember(href, spelling, etag, tag + salt, checked_payload(payload, tag))

    def names_with_uid(self, calendar: int, uid: str) -> list[str]:
        """The members of a calendar that have this UID."""
        query = (
            "SELECT member FROM object WHERE calendar=? AND uid=? AND member IS NOT NULL AND tag<>'' ORDER BY member"
        )
        return [row[0] for row in self._db.execute(query, (calendar, uid))]

    def touch_member(self, calendar: int, name: str) -> None:
        """Give a member another revision and another tag with the same bytes: an app that has changed it for itself
        takes it for changed, and reads it again.
        """
        row = self._db.execute("SELECT revision + 1 FROM calendar WHERE id=?", (calendar,)).fetchone()
        if row is None:
            return
        statement = "UPDATE object SET revision=?1, salt=?2 WHERE calendar=?3 AND member=?4 AND tag<>'' RETURNING id"
        salt = f".{secrets.token_hex(4)}"
        if self._db.execute(statement, (row[0], salt, calendar, name)).fetchall():
            self._db.execute("UPDATE calendar SET revision=? WHERE id=?", (row[0], calendar))
            self.has_changed_members = True
