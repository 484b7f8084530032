"""Servers that lie, lag, truncate or spell differently, and how long each makes busyd say "free" falsely.

* `server.py`      a small CalDAV server whose every answer can be overridden
* `scenarios.py`   one lie a class, and `objects.py`, `calendars.py`, `deltas.py` with further ones
* `kinds.py`       all of them
* `harness.py`     busyd without its handlers beside such a server, in virtual time
* `scripts/soak lying`   the same servers before a whole busyd, in real time
"""
