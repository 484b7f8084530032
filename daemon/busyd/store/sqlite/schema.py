"""The tables of the mirror, as numbered migrations. A migration is never edited once released; a new one is added."""

import sqlite3
from typing import Final

from busyd.store.members import member_name, tag_of
from busyd.store.sqlite.connection import Migration
from busyd.store.statements.digests import digest_of


def _first(connection: sqlite3.Connection) -> None:
    for statement in (
        # Generation: grows with every change of objects or of their index.
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        "CREATE TABLE account (connection TEXT PRIMARY KEY, root TEXT NOT NULL, username TEXT NOT NULL,"
        " principal TEXT NOT NULL,"
        " home TEXT NOT NULL, addresses TEXT NOT NULL, single INTEGER NOT NULL, discovered INTEGER NOT NULL) STRICT",
        "CREATE TABLE calendar (id INTEGER PRIMARY KEY, connection TEXT NOT NULL, href TEXT NOT NULL,"
        " listing TEXT NOT NULL,"
        " missing_since INTEGER,"  # when a listing first came without it
        " gone INTEGER NOT NULL DEFAULT 0,"  # 1 once a later listing agreed that it is missing
        " ctag TEXT, sync_token TEXT,"  # those of the state the mirror holds, not of the last listing
        " as_of INTEGER, reconciled INTEGER,"  # last proof; last token-less comparison
        " complete INTEGER NOT NULL DEFAULT 0,"  # 1 once everything was read at least once
        " held TEXT NOT NULL DEFAULT '[]',"  # hrefs found gone once, kept until a second look agrees
        " validators TEXT NOT NULL DEFAULT '{}',"  # ETag and Last-Modified of a feed
        " UNIQUE (connection, href)) STRICT",
        "CREATE TABLE object (id INTEGER PRIMARY KEY, calendar INTEGER NOT NULL REFERENCES calendar ON DELETE CASCADE,"
        " href TEXT NOT NULL, etag TEXT NOT NULL, uid TEXT NOT NULL, payload BLOB NOT NULL,"
        " UNIQUE (calendar, href)) STRICT",
        # One row an object and reading zone: its occurrences within the horizon, packed, and the facts they point to.
        "CREATE TABLE busy_index (object INTEGER NOT NULL REFERENCES object ON DELETE CASCADE, zone TEXT NOT NULL,"
        " span_start INTEGER NOT NULL, span_end INTEGER NOT NULL, recurring INTEGER NOT NULL,"
        " occurrences BLOB NOT NULL, facts BLOB NOT NULL, problems BLOB NOT NULL, incomplete TEXT NOT NULL,"
        " PRIMARY KEY (object, zone)) STRICT",
        "CREATE TABLE snapshot (profile TEXT PRIMARY KEY, key TEXT NOT NULL, body BLOB NOT NULL) STRICT",
        "INSERT INTO meta (name, value) VALUES ('generation', '0')",
    ):
        connection.execute(statement)


def _second_looks(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE calendar ADD COLUMN earlier_token TEXT",  # the one before sync_token: a look repeated shows more
        "ALTER TABLE calendar ADD COLUMN look_again INTEGER",  # when to look though nothing seems changed
        "UPDATE calendar SET held='{}'",  # from now on each href with the moment it was first found gone
    ):
        connection.execute(statement)


def _row_counts(connection: sqlite3.Connection) -> None:
    # How many occurrences there are, also where they are not kept because the calendar has too many.
    connection.execute("ALTER TABLE busy_index ADD COLUMN rows INTEGER NOT NULL DEFAULT 0")


def _held_is_an_object(connection: sqlite3.Connection) -> None:
    # The default of `held` was still an empty array, which is no map from href to moment. SQLite cannot alter it.
    for statement in (
        "ALTER TABLE calendar ADD COLUMN held_since TEXT NOT NULL DEFAULT '{}'",
        "UPDATE calendar SET held_since=held WHERE held<>'[]'",
        "ALTER TABLE calendar DROP COLUMN held",
        "ALTER TABLE calendar RENAME COLUMN held_since TO held",
    ):
        connection.execute(statement)


def _several_homes(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE account ADD COLUMN homes TEXT NOT NULL DEFAULT '[]'",
        "UPDATE account SET homes=json_array(home)",
        "ALTER TABLE account DROP COLUMN home",
        "ALTER TABLE account ADD COLUMN partial TEXT NOT NULL DEFAULT ''",  # why the last listing may lack calendars
    ):
        connection.execute(statement)


def _incomplete_since(connection: sqlite3.Connection) -> None:
    # Until now what was incomplete was so for all time, from the year 1 on.
    connection.execute("ALTER TABLE busy_index ADD COLUMN incomplete_since INTEGER NOT NULL DEFAULT -62135596800")


def _generations_of_calendars(connection: sqlite3.Connection) -> None:
    # The count of `meta` when the calendar, or its index, last changed: a stored snapshot names those it shows.
    connection.execute("ALTER TABLE calendar ADD COLUMN generation INTEGER NOT NULL DEFAULT 0")


def _doubts_and_spellings(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE calendar ADD COLUMN doubts TEXT NOT NULL DEFAULT '{}'",  # href -> what contradicts what
        "ALTER TABLE calendar ADD COLUMN listed_token TEXT",
        "ALTER TABLE object ADD COLUMN spelling TEXT NOT NULL DEFAULT ''",  # of an href its server writes otherwise
        # From now on only feeds hold anything back by itself; what a collection held is missed once more.
        "UPDATE calendar SET held='{}', look_again=0 WHERE held<>'{}' AND json_extract(listing, '$.kind')"
        " NOT IN ('feed', 'subscribed')",
    ):
        connection.execute(statement)


def _members_of_collections(connection: sqlite3.Connection) -> None:
    for statement in (
        # Of the collection that busyd serves: which row this is, its newest change, and the newest one not told of.
        "ALTER TABLE calendar ADD COLUMN epoch TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE calendar ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE calendar ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE object ADD COLUMN member TEXT",  # its name there; NULL for a second version
        "ALTER TABLE object ADD COLUMN tag TEXT NOT NULL DEFAULT ''",  # what its bytes are; empty for nothing
        "ALTER TABLE object ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE tombstone (calendar INTEGER NOT NULL REFERENCES calendar ON DELETE CASCADE,"
        " member TEXT NOT NULL, revision INTEGER NOT NULL, removed INTEGER NOT NULL,"
        " PRIMARY KEY (calendar, member)) STRICT",
        "UPDATE calendar SET epoch=lower(hex(randomblob(8)))",
        "UPDATE object SET revision=id",
        "UPDATE calendar SET revision=COALESCE((SELECT MAX(id) FROM object WHERE object.calendar=calendar.id), 0)",
        "CREATE INDEX object_member ON object (calendar, member)",
        "CREATE INDEX object_revision ON object (calendar, revision)",
    ):
        connection.execute(statement)
    last = 0
    while row := connection.execute("SELECT id, href, payload FROM object WHERE id>? ORDER BY id", (last,)).fetchone():
        last, href, payload = row
        connection.execute("UPDATE object SET member=?, tag=? WHERE id=?", (member_name(href), tag_of(payload), last))


def _digests_of_entries(connection: sqlite3.Connection) -> None:
    # What has none is expanded anew.
    connection.execute("DELETE FROM busy_index")
    connection.execute("ALTER TABLE busy_index ADD COLUMN digest BLOB NOT NULL DEFAULT x''")


def _made_collections(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE made (owner TEXT PRIMARY KEY, epoch TEXT NOT NULL, revision INTEGER NOT NULL,"
        " forgotten INTEGER NOT NULL) STRICT",
        "CREATE TABLE made_member (owner TEXT NOT NULL, name TEXT NOT NULL,"
        " tag TEXT NOT NULL,"  # empty when it is gone
        " revision INTEGER NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (owner, name)) STRICT",
    ):
        connection.execute(statement)


def _digests_of_rows(connection: sqlite3.Connection) -> None:
    for table, key, columns in (
        ("calendar", "id", "id, connection, href, listing, missing_since, gone, ctag, sync_token, as_of, reconciled,"
         " complete, held, validators, earlier_token, look_again, doubts, listed_token"),
        ("account", "connection", "connection, root, username, principal, homes, addresses, single, discovered,"
         " partial"),
        ("object", "id", "calendar, href, uid, tag"),
    ):  # fmt: skip
        connection.execute(f"ALTER TABLE {table} ADD COLUMN digest BLOB NOT NULL DEFAULT x''")
        for (number,) in connection.execute(f"SELECT {key} FROM {table}").fetchall():
            row = connection.execute(f"SELECT {columns} FROM {table} WHERE {key}=?", (number,)).fetchone()
            connection.execute(f"UPDATE {table} SET digest=? WHERE {key}=?", (digest_of(row), number))


def _touched_members(connection: sqlite3.Connection) -> None:
    # Behind the tag that apps are told: another one for the same bytes, after a write that was not carried out.
    connection.execute("ALTER TABLE object ADD COLUMN salt TEXT NOT NULL DEFAULT ''")


def _touched_slots(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE made_member ADD COLUMN salt TEXT NOT NULL DEFAULT ''")  # as that of an object


def _series_of_second_looks(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE calendar ADD COLUMN next_earlier_token TEXT")  # the one after earlier_token
    columns = (
        "id, connection, href, listing, missing_since, gone, ctag, sync_token, as_of, reconciled, complete, held,"
        " validators, earlier_token, look_again, doubts, listed_token"
    )
    for *row, digest in connection.execute(f"SELECT {columns}, digest FROM calendar").fetchall():
        if digest_of(row) == digest:  # what is damaged stays known to be
            renewed = digest_of((*row, None))
            connection.execute("UPDATE calendar SET digest=? WHERE id=?", (renewed, row[0]))


MIRROR_MIGRATIONS: Final[tuple[Migration, ...]] = (
    _first,
    _second_looks,
    _row_counts,
    _held_is_an_object,
    _several_homes,
    _incomplete_since,
    _generations_of_calendars,
    _doubts_and_spellings,
    _members_of_collections,
    _digests_of_entries,
    _made_collections,
    _digests_of_rows,
    _touched_members,
    _touched_slots,
    _series_of_second_looks,
)
