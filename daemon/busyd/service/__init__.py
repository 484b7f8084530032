"""The composition root: builds the daemon from its configuration and runs it.

`lifecycle.py` starts and stops everything; `polling.py` has a `schedule.py` for each connection; `reload.py` applies a
changed configuration.
"""

from busyd.service.lifecycle import run_service

__all__ = ["run_service"]
