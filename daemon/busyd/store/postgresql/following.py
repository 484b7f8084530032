"""What has changed in the mirror since somebody looked last, for daemons that answer from what another one writes.

Every calendar and object has the number that a sequence gave it when it was written last, and what is deleted leaves
one. As only one transaction at a time writes the mirror (`connection.py`), and takes no number before its turn, those
of one that is kept later are all higher: who reads what is above the highest number seen misses nothing.

A calendar has also moved when an object of it has, and an object when its entries in the index have. What a transaction
has written already keeps its number: all of a transaction is seen at once, or nothing.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.engine import SqlSession

_FORGOTTEN: Final = 0
"""The calendar that there is not, of the one row that says up to which number deletions are no longer known."""
_NUMBER: Final = """
CREATE FUNCTION number_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.moved := nextval('mirror.moved');
  RETURN NEW;
END $$
"""
_CALENDAR_DELETED: Final = """
CREATE FUNCTION calendar_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO mirror.deletion (calendar) VALUES (OLD.id);
  RETURN NULL;
END $$
"""
_OBJECT_MOVED: Final = """
CREATE FUNCTION object_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO mirror.deletion (calendar, object) SELECT id, OLD.id FROM mirror.calendar WHERE id = OLD.calendar;
    UPDATE mirror.calendar SET moved = 0 WHERE id = OLD.calendar AND xmin <> pg_current_xact_id()::xid;
  ELSE
    UPDATE mirror.calendar SET moved = 0 WHERE id = NEW.calendar AND xmin <> pg_current_xact_id()::xid;
  END IF;
  RETURN NULL;
END $$
"""
_ENTRY_MOVED: Final = """
CREATE FUNCTION entry_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE mirror.object SET moved = 0
    WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.object ELSE NEW.object END AND xmin <> pg_current_xact_id()::xid;
  RETURN NULL;
END $$
"""
NUMBERS: Final = (
    "CREATE SEQUENCE moved",
    # Made anew, the mirror has higher numbers than it can have had before, and other ids: daemons that run know those.
    *(
        f"SELECT setval({sequence}, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT))"
        for sequence in (
            "'moved'",
            "pg_get_serial_sequence('calendar', 'id')",
            "pg_get_serial_sequence('object', 'id')",
        )
    ),
    "CREATE INDEX calendar_moved ON calendar (moved)",
    "CREATE INDEX object_moved ON object (calendar, moved)",
    "CREATE TABLE deletion (number BIGINT PRIMARY KEY DEFAULT nextval('moved'), calendar BIGINT NOT NULL,"
    " object BIGINT, at BIGINT NOT NULL DEFAULT floor(extract(epoch FROM clock_timestamp())))",
    "CREATE INDEX deletion_calendar ON deletion (calendar, number)",
    f"INSERT INTO deletion (calendar) VALUES ({_FORGOTTEN})",
    *(_NUMBER, _CALENDAR_DELETED, _OBJECT_MOVED, _ENTRY_MOVED),
    *(
        f"CREATE TRIGGER {table}_number BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION number_row()"
        for table in ("calendar", "object")
    ),
    "CREATE TRIGGER calendar_deleted AFTER DELETE ON calendar FOR EACH ROW EXECUTE FUNCTION calendar_deleted()",
    "CREATE TRIGGER object_moved AFTER INSERT OR UPDATE OR DELETE ON object"
    " FOR EACH ROW EXECUTE FUNCTION object_moved()",
    "CREATE TRIGGER entry_moved AFTER INSERT OR UPDATE OR DELETE ON busy_index"
    " FOR EACH ROW EXECUTE FUNCTION entry_moved()",
)
"""What keeps the numbers, in the schema of the mirror. What is moved there has none, and is told as a whole."""
ACCOUNT_NUMBERS: Final = (
    "ALTER TABLE account ADD COLUMN moved BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX account_moved ON account (moved)",
    "CREATE TRIGGER account_number BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION number_row()",
)
"""The same of accounts: one may have no calendar, and its addresses may change while no calendar does."""
ONLY_HERE: Final = frozenset({"deletion", "account.moved", "calendar.moved", "object.moved"})
_NUMBERED: Final = ("account", "calendar", "object", "busy_index")
BEFORE_MOVING: Final = tuple(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in _NUMBERED)
AFTER_MOVING: Final = tuple(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in _NUMBERED)

_BOUNDS: Final = (
    "SELECT number, GREATEST((SELECT MAX(number) FROM deletion), (SELECT MAX(moved) FROM calendar),"
    " (SELECT MAX(moved) FROM account))"
    f" FROM deletion WHERE calendar={_FORGOTTEN}"
)
_ACCOUNTS: Final = "SELECT connection FROM account WHERE moved>? OR connection=ANY(?) ORDER BY connection"
_CALENDARS: Final = "SELECT id FROM calendar WHERE moved>? ORDER BY moved, id"
_CALENDARS_DELETED: Final = (
    f"SELECT calendar FROM deletion WHERE calendar<>{_FORGOTTEN} AND object IS NULL AND number>? ORDER BY number"
)
_OBJECTS: Final = "SELECT id FROM object WHERE calendar=? AND moved>? ORDER BY moved, id"
_OBJECTS_DELETED: Final = (
    "SELECT object FROM deletion WHERE calendar=? AND object IS NOT NULL AND number>? ORDER BY number"
)


class MirrorChanges(Struct, frozen=True):
    """What has changed since a number; some of it may have been told before."""

    upto: int
    """What to ask after the next time."""
    written: Sequence[int]
    """Ids of what is new or has changed, in the order in which it did."""
    deleted: Sequence[int]
    is_whole: bool
    """All there is was written since, as far as can be told: what is not among it is gone."""


def calendars_moved(db: SqlSession, after: int) -> MirrorChanges:
    """Calendars of which anything has changed; after 0 all. To be read in one transaction with what is in them."""
    return _moved(db, (), after=after, written=_CALENDARS, deleted=_CALENDARS_DELETED)


def accounts_moved(db: SqlSession, after: int, *, besides: Sequence[str] = ()) -> list[str]:
    """Connections of which the account is new or has changed, and these where they have one. As `calendars_moved`."""
    return [name for (name,) in db.execute(_ACCOUNTS, (after, list(besides)))]


def objects_moved(db: SqlSession, calendar: int, *, after: int) -> MirrorChanges:
    """Objects of a calendar of which anything has changed, after a number that `calendars_moved` gave."""
    return _moved(db, (calendar,), after=after, written=_OBJECTS, deleted=_OBJECTS_DELETED)


def forget_deletions(db: SqlSession, *, before: Instant) -> None:
    """Keep no longer what was deleted before this: who has not looked since then is told of everything."""
    query = f"DELETE FROM deletion WHERE at<? AND calendar<>{_FORGOTTEN} RETURNING number"
    if rows := db.execute(query, (before,)).fetchall():
        newest = max(number for (number,) in rows)
        db.execute(f"UPDATE deletion SET number=? WHERE calendar={_FORGOTTEN}", (newest,))


def _moved(db: SqlSession, of: tuple[int, ...], *, after: int, written: str, deleted: str) -> MirrorChanges:
    first, newest = db.execute(_BOUNDS).fetchone()
    # Above the newest: a database that was put back to an earlier state.
    is_whole = not first <= after <= newest
    since = -1 if is_whole else after
    gone = [] if is_whole else [row[0] for row in db.execute(deleted, (*of, since))]
    return MirrorChanges(newest, [row[0] for row in db.execute(written, (*of, since))], gone, is_whole)
