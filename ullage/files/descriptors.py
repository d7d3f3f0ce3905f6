"""Recognise temporary shortages of file descriptors, memory or processes.

Code that accepts connections keeps some descriptors free for its work. A new descriptor gets the
lowest free number, so a high number means that few are left.
"""

from __future__ import annotations

import errno
import os
import resource

OUT_OF_RESOURCES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
)
"""Errors that pass when other files, connections or processes end."""
RESERVED = 16
PAUSE_SECONDS = 0.05
"""Delay before the next connection is accepted after such an error."""


def is_out_of_resources(error: OSError) -> bool:
    """Return whether `error` reports a temporary shortage."""
    return error.errno in OUT_OF_RESOURCES


def are_scarce(reserved: int = RESERVED) -> bool:
    """Return whether few file descriptors are left before the process's soft limit.

    Few means at most `reserved`, or a quarter of the limit if that is less, above the lowest free
    number. True also if no descriptor can be opened now; else False where there is no limit.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    os.close(lowest_free)
    return limit != resource.RLIM_INFINITY and lowest_free >= limit - min(reserved, limit // 4)
