"""Measure free disk space."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1 << 20
FULL_MIB = 16
"""A service writes a whole batch at a time; with less free space nothing is stored."""


def count_free_mib(folder: Path) -> int:
    """Return the whole MiB that an unprivileged user can still write to the disk of `folder`.

    Raises OSError if the folder does not exist.
    """
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize // MIB


def find_shortage(folder: Path, least_mib: int = FULL_MIB) -> str:
    """Return a phrase that names what is short on the file system of `folder`; "" if nothing is.

    Short is less free space than `least_mib` MiB, or no free inode. Raises OSError if the folder
    does not exist.
    """
    room, free = os.statvfs(folder), count_free_mib(folder)
    if free < least_mib:
        return f"{free} MiB free at {folder}, and services need {least_mib}"
    if room.f_files and not room.f_favail:
        return f"no more files can be made at {folder} (no inode is free)"
    return ""
