"""Whether the disk of the state directory has space for what the daemon writes.

A full disk shows nowhere else until the first write fails: what is already stored is confirmed and served as before.
"""

import os
from pathlib import Path
from typing import Final

LEAST_FREE: Final = 16 * 1024 * 1024
"""Bytes: what the write-ahead log of the mirror may take."""
FREE_SOME: Final = "free some space on that disk: changed events cannot be stored, and answers become stale"


def find_lack_of_space(state: Path) -> str:
    """A sentence when less is free than the daemon may need; empty otherwise, or when nobody can tell."""
    try:
        disk = os.statvfs(state)
    except OSError:
        return ""
    free = disk.f_bavail * disk.f_frsize
    if disk.f_files and not disk.f_favail:
        return "the disk of the state directory has no room for another file (no inodes are free)"
    if free >= LEAST_FREE:
        return ""
    return f"the disk of the state directory is {'nearly full' if free else 'full'} ({free // 1024} kB are free)"
