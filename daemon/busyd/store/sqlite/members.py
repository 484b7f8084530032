"""The members of served collections: the statements that read them. `put_object` and `forget_objects` write them."""

from collections.abc import Iterable

from busyd.store.members import CollectionMark, Member, MemberChange, MemberContent
from busyd.store.sqlite.digests import checked_payload
from busyd.store.sqlite.statements import Statements


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
            "SELECT member, tag, revision, length(payload) FROM object WHERE calendar=? AND member IS NOT NULL"
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
        query = "SELECT tag, payload FROM object WHERE calendar=? AND member=? AND tag<>'' ORDER BY id"
        found: dict[str, MemberContent | None] = {}
        size = 0
        for name in names:
            row = self._db.execute(query, (calendar, name)).fetchone()
            found[name] = MemberContent(row[0], checked_payload(row[1], row[0])) if row else None
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
            "SELECT member, tag, revision FROM object WHERE calendar=?1 AND revision>?2 AND member IS NOT NULL"
            " AND tag<>'' UNION ALL"
            " SELECT member, '', revision FROM tombstone WHERE calendar=?1 AND revision>?2 AND ?2>0"
            " ORDER BY revision LIMIT ?3",
            (calendar, after, limit),
        )
        return mark, [MemberChange(*row) for row in rows]
