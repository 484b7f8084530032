"""The mirror in SQLite: the file and its thread (`database.py`), its tables (`schema.py`), and the statements by what
they are about.
"""
