"""Becomes the program named on its command line, having asked the kernel to end it together with
its parent.

A separate module and not a `preexec_fn`, because running Python between fork and exec can deadlock
where the parent has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def become(parent: int, words: Sequence[str]) -> None:
    """Replace this process by the program `words`; do nothing if `parent` is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(words[0], list(words))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
