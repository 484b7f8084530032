"""Skipping a test for want of something on the machine: said with a reason here, a failure in CI."""

import os
from typing import NoReturn

import pytest


def skip(reason: str) -> NoReturn:
    """Skip, unless everything is promised to be there (`BUSYD_NO_SKIPS`, set by `.ci/run`)."""
    if os.environ.get("BUSYD_NO_SKIPS"):
        pytest.fail(f"nothing may be skipped here: {reason}")
    pytest.skip(reason)
