"""Collections that busyd makes: which members they had and when those changed. Their bytes are made each time."""

import secrets
from collections.abc import Mapping
from typing import Final

from busyd.period import Instant
from busyd.store.members import TOMBSTONE_SECONDS, CollectionMark, MemberChange
from busyd.store.statements.base import Statements, upsert

_COLLECTION: Final = upsert("made", ("owner", "epoch", "revision", "forgotten"))
_MEMBER: Final = upsert("made_member", ("owner", "name", "tag", "revision", "changed", "salt"), keys=2)


class MadeStatements(Statements):
    """Members and tombstones of made collections, by the owner of each."""

    def follow_made(self, owner: str, tags: Mapping[str, str], *, at: Instant) -> CollectionMark:
        """Note that a collection has these members now, by name, each with its tag; how far its changes have come."""
        row = self._db.execute("SELECT epoch, revision, forgotten FROM made WHERE owner=?", (owner,)).fetchone()
        epoch, revision, forgotten = row or (secrets.token_hex(8), 0, 0)
        before = revision
        known = dict(self._db.execute("SELECT name, tag FROM made_member WHERE owner=?", (owner,)))
        for name in sorted(known.keys() | tags.keys()):
            tag = tags.get(name, "")
            if known.get(name, "") != tag:
                revision += 1
                self._db.execute(_MEMBER, (owner, name, tag, revision, at, ""))
        if row is None or revision != before:
            self.has_changed_members = True
            query = "DELETE FROM made_member WHERE owner=? AND tag='' AND changed<? RETURNING revision"
            told = self._db.execute(query, (owner, at - TOMBSTONE_SECONDS)).fetchall()
            forgotten = max((forgotten, *(number for (number,) in told)))
            self._db.execute(_COLLECTION, (owner, epoch, revision, forgotten))
        return CollectionMark(epoch, revision, forgotten)

    def touch_made(self, owner: str, name: str) -> None:
        """Give a member another revision and another tag: an app that has changed it for itself reads it again."""
        row = self._db.execute("SELECT revision + 1 FROM made WHERE owner=?", (owner,)).fetchone()
        if row is None:
            return
        statement = "UPDATE made_member SET revision=?, salt=? WHERE owner=? AND name=? AND tag<>''"
        if self._db.execute(statement, (row[0], f".{secrets.token_hex(4)}", owner, name)).rowcount:
            self._db.execute("UPDATE made SET revision=? WHERE owner=?", (row[0], owner))
            self.has_changed_members = True

    def read_salts(self, owner: str) -> dict[str, str]:
        """What is behind the tags of members that were touched, by name."""
        query = "SELECT name, salt FROM made_member WHERE owner=? AND salt<>'' AND tag<>''"
        return dict(self._db.execute(query, (owner,)).fetchall())

    def read_made_changes(self, owner: str, *, after: int, upto: int, limit: int) -> list[MemberChange]:
        """Members changed or gone after a revision, the oldest change first, at most so many.

        After revision 0 nothing is told of what is gone: whoever asks knows nothing yet.
        """
        rows = self._db.execute(
            "SELECT name, tag || salt, revision FROM made_member WHERE owner=?1 AND revision>?2 AND revision<=?3"
            " AND (tag<>'' OR ?2>0) ORDER BY revision LIMIT ?4",
            (owner, after, upto, limit),
        )
        return [MemberChange(*row) for row in rows]
