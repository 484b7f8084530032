"""SQLite: connections (`connection.py`), a file on its thread (`database.py`), that of the ledger, and their tables."""
