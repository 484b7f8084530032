"""The statements on the mirror and its index, by what they are about: said once, in the SQL that SQLite and PostgreSQL
have in common.

A value is `?`, or `?1` where it occurs more than once. Both engines read these texts as they stand, so there is no
`INSERT OR REPLACE` (see `upsert`), no function of one engine alone (PostgreSQL is given those it lacks by its schema),
and no order or limit that is left to the engine: what is read in parts has its LIMIT, as one of them fetches all rows.
"""
