"""SQLite: the file and its thread (`database.py`), that of the ledger (`ledger_file.py`), and their tables."""
