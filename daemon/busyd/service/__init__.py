"""The composition root: builds the daemon from its configuration and runs it.

`lifecycle.py` starts and stops everything; `polling.py` has a `schedule.py` for each connection; `reload.py` applies a
changed configuration. Nothing is imported here: commands use single modules, and start without the daemon.
"""
