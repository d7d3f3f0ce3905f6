"""How much memory is free, and a bound by which a process that would use more than that fails by
itself.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SHARE = 0.9
"""Of the memory that is free, so much may be asked for: other processes go on meanwhile."""


@contextlib.contextmanager
def within_free_memory() -> Iterator[None]:
    """Meanwhile this process gets as much more memory as is free, and then a MemoryError.

    Otherwise the kernel would end it by SIGKILL, of which nobody can say where it came from.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _kibibytes(Path("/proc/self/status"), "VmData") * 1024 + int(free_memory() * SHARE)
    limits = [one for one in (most, soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def free_memory() -> int:
    """Bytes that this process can still use before the kernel kills for want of memory, on the
    machine or in a control group.
    """
    info = Path("/proc/meminfo")
    free = (_kibibytes(info, "MemAvailable") + _kibibytes(info, "SwapFree")) * 1024
    own = (
        CGROUPS / Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("::/")[2].strip()
    )
    for group in (own, *own.parents):
        if group.is_relative_to(CGROUPS):
            # no such files at the root, and "max" where there is no limit
            with contextlib.suppress(OSError, ValueError):
                limit, used = (
                    int((group / f"memory.{name}").read_text(encoding="ascii"))
                    for name in ("max", "current")
                )
                free = min(free, limit - used + _cached(group))
    return max(0, free)


def _cached(group: Path) -> int:
    """Bytes of files that the kernel keeps for a control group and would drop before it kills."""
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _kibibytes(file: Path, name: str) -> int:
    lines = file.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
