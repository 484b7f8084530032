"""The composition root: builds the daemon from its configuration and runs it. Begin with `lifecycle.py`."""

from busyd.service.lifecycle import run_service

__all__ = ["run_service"]
