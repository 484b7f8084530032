"""Storage on disk: the mirror and its index (`store.py`), and the ledger, which must not be lost (`ledger.py`).

What an engine brings is `engine.py`. SQL is in this package and nowhere above it: the statements on the mirror in
`statements/`, those on the ledger and the log of changes with their values, the tables with the engine (`sqlite/`).
"""
