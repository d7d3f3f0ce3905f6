"""Become the program named on the command line, and end together with the parent process.

The kernel is asked to kill it with its parent. This is a separate module and no `preexec_fn`,
because running Python between fork and exec can deadlock if the parent has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def become(parent: int, words: Sequence[str]) -> None:
    """Replace this process by the program `words`; do nothing if `parent` has already ended."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(words[0], list(words))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
