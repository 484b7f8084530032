"""What a schema is called while it is moved to or from another place, and once it was."""

from collections.abc import Sequence
from typing import Final

from busyd.store.errors import StoredElsewhere
from busyd.store.postgresql.session import PostgresSession

MOVING: Final = "_moving"
_CALLED: Final = {"ledger": "the ledger", "secrets": "the password store"}
"""What a schema is, that is never begun anew in place of one that was moved away."""


def aside_as(schema: str, form: str, *, stamp: str) -> str:
    """What a schema is called when it is set aside."""
    return f"{schema}_{form}_{stamp}"


def set_aside_as(db: PostgresSession, schema: str, *, form: str) -> Sequence[str]:
    """The schemas that were, the last one last."""
    query = "SELECT CAST(nspname AS text) FROM pg_namespace WHERE nspname ~ ? ORDER BY nspname"
    return [row[0] for row in db.execute(query, (f"^{schema}_{form}_[0-9]{{8}}t[0-9]{{6}}z$",))]


def has_schema(db: PostgresSession, schema: str) -> bool:
    return bool(db.execute("SELECT to_regnamespace(?) IS NOT NULL", (schema,)).fetchone()[0])


def require_not_moved(db: PostgresSession, schema: str, *, where: str) -> None:
    """Refuse to begin an empty one in place of one that was moved. Raises StoredElsewhere."""
    if has_schema(db, schema):
        return
    called = _CALLED[schema.removesuffix(MOVING)]
    if has_schema(db, schema + MOVING):
        message = f"{called} is not in {where} yet: a move to it was ended midway"
        fix = (
            "run `busyd migrate-store postgresql` again where it came from; to begin without what was moved, "
            f"drop the schema {schema}{MOVING} first"
        )
        raise StoredElsewhere(message, fix=fix)
    if moved := set_aside_as(db, schema, form="moved"):
        message = f"{called} of {where} was moved to a state directory (schema {moved[-1]} is what it was)"
        fix = (
            "take `store:` out of the configuration, or bring it back with `busyd migrate-store postgresql`; "
            "to begin with an empty one, give that schema another name"
        )
        raise StoredElsewhere(message, fix=fix)
