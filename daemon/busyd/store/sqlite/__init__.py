"""SQLite: connections (`connection.py`), a file and its thread (`database.py`), the ledger (`ledger_file.py`), tables."""
