"""Measure free memory, and limit a process to it so that it fails by itself."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SHARE = 0.9
"""Share of the free memory that may be used; other processes continue meanwhile."""


@contextlib.contextmanager
def limit_to_free_memory() -> Iterator[None]:
    """Limit this process's memory during the block: its present size plus 90 % of what is free.

    An allocation beyond the limit raises MemoryError; otherwise the kernel would kill the process
    without a trace. A lower limit that exists stays. The former limit returns at the end.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _read_kibibytes(Path("/proc/self/status"), "VmData") * 1024 + int(free_memory() * SHARE)
    limits = [limit for limit in (most, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def free_memory() -> int:
    """Return how many bytes this process can still use before the kernel kills processes.

    At least 0. That is the machine's available memory and free swap, or the rest of its control
    group's limit or of a group above, whichever is least.
    """
    info = Path("/proc/meminfo")
    free = (_read_kibibytes(info, "MemAvailable") + _read_kibibytes(info, "SwapFree")) * 1024
    own_group = (
        CGROUPS / Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("::/")[2].strip()
    )
    for group in (own_group, *own_group.parents):
        if group.is_relative_to(CGROUPS):
            # the root has no such files; "max" means no limit
            with contextlib.suppress(OSError, ValueError):
                limit, used = (
                    int((group / f"memory.{name}").read_text(encoding="ascii"))
                    for name in ("max", "current")
                )
                free = min(free, limit - used + _read_cached(group))
    return max(0, free)


def _read_cached(group: Path) -> int:
    """Return the bytes of file cache that the kernel would drop first."""
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _read_kibibytes(file: Path, name: str) -> int:
    lines = file.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
