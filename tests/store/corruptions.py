"""Damage of a mirror that nobody has open: flipped bits, pages of zeros or of something else, a cut, tables changed."""

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Final

KINDS: Final = ("flip", "flips", "zero page", "foreign page", "truncate", "drop column", "drop table")


def corrupt(path: Path, seed: int) -> str:
    """Damage the file in some way, always the same for a seed, and say in which."""
    chance, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    whole = bytearray(path.read_bytes())
    page = 4096 * chance.randrange(len(whole) // 4096)
    match kind:
        case "flip" | "flips":
            for _ in range(1 if kind == "flip" else chance.randrange(2, 200)):
                whole[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        case "zero page":
            whole[page : page + 4096] = bytes(4096)
        case "foreign page":
            whole[page : page + 4096] = chance.randbytes(4096)
        case "truncate":
            del whole[chance.randrange(len(whole)) :]
        case _:
            with contextlib.closing(sqlite3.connect(path)) as database:
                table, column = chance.choice(
                    (("object", "uid"), ("calendar", "listing"), ("busy_index", "occurrences"))
                )
                dropping = f"TABLE {table} DROP COLUMN {column}" if kind == "drop column" else f"TABLE {table}"
                database.execute(f"{'ALTER' if kind == 'drop column' else 'DROP'} {dropping}")
                database.commit()
            return kind
    path.write_bytes(whole)
    return kind
