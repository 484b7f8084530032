"""The composition root: the only room that knows the configuration and every other room. `life.py` is the way in."""

from busyd.service.lifecycle import run_service

__all__ = ["run_service"]
