"""PostgreSQL, from version 15 on: connections (`connection.py`, `server.py`), statements as psycopg runs them
(`session.py`), and the tables of each store in a schema of its own.

What was decided, and why:

* psycopg, not asyncpg. Transactions are closures that run on a thread of their own, as SQLite needs them; with asyncpg
  each of them, and all above, would have to be written a second time as coroutines. psycopg prepares statements, sends
  `executemany` as a pipeline, and has COPY and LISTEN.
* One text for each statement (`store/statements/` and beside it): `?` becomes $1 here, and the few functions of SQLite
  that are used are made in each schema. A statement may be overridden where PostgreSQL has a better one.
* One writer at a time for each schema, by an advisory lock that every writing transaction takes first: what SQLite's
  BEGIN IMMEDIATE gives, so that what is right there is right here. The rules of the tables hold without it.
* A read sees one state (REPEATABLE READ, READ ONLY), as it does on the one thread of SQLite.
* No work is run twice by itself: it may have changed what is in memory. A connection that was lost is made anew before
  the next work begins, and work that loses it fails with StorageError.
* COMMIT that was not answered is not guessed about: a transaction has its number from the beginning, and
  `pg_xact_status` tells what became of it. Until that is known nothing else is done.
* Text may hold U+0000, which PostgreSQL does not keep: it is written as U+F8FF and a digit. Text is compared by its
  bytes (COLLATE "C"), integers have 64 bits, and there are no booleans: rows are those of SQLite.
* The rules of the outbox are the triggers of SQLite once more (`ledger_schema.py`), for they are not symmetric: a block
  may be put where something is, and nothing where a block is. What takes its time for itself alone is in `blocked`
  besides, whose EXCLUDE constraint is what no race gets past; its family is that of a move, whose two rows
  may overlap.
* Changes of tokens are heard by LISTEN, so that no request asks the server; a token that is not known is looked for
  once more there. While the server is away tokens are honoured for 15 minutes (`ledger_database.py`).
* Several daemons share the connections (`fleet.py`), and one that the others have gone on without writes nothing any
  more: every writing transaction of a daemon finds the row of its session alive, and locks it (`fleet_schema.py`).
* What one daemon writes to the mirror the others follow by numbers, which is right because one writes at a time
  (`following.py`).
* Every daemon holds all that it answers from in memory. A million events take some 300 MB, so thousands of accounts
  fit; and whoever writes the log of changes must hold every profile to see what has changed. Loading a profile when
  it is first asked for would bound the memory of the others only, at the price of answers that wait, and of a second
  state of everything that can be stale.
* Passwords are sealed row by row (`secrets.py`), with a key that each machine has and the database never; nor is the
  password of the database itself in it. Why no key is wrapped for each machine: `credentials/sealed_secrets.py`.
* A ledger that is as it was earlier is taken up in one transaction in which no daemon lives, be it from a backup or
  because somebody has put the whole database back, which is noticed when the next session begins (`restoring.py`).
* A migration of SQLite comes with one here. What is not released yet may still be put into the first one.
* Stores are moved here and back by `store/moving.py`. `StoredTables` says what SQLite has not, and what has to be done
  so that rows are taken as they are; anything else that only one of both engines has is an error there.
* Ids are never reused, and may have gaps. Nothing that is answered may depend on them, but for the order of rows,
  which is that in which they came.
"""
