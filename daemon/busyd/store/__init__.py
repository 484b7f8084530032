"""Storage on disk: the mirror and its index (`store.py`), and the ledger, which must not be lost (`ledger.py`).

SQL and sqlite3 are in `sqlite/` and in the ledger, and nowhere above this package.
"""
