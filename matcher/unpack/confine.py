"""What server and child give up before anything is read: network, gains, and as much time and memory as there is."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def alone(libc: ctypes.CDLL) -> bool:
    """Cut the network of this process and of its children; whether it has a network namespace of its own now.

    That needs CAP_SYS_ADMIN, or user namespaces open to all, which some systems and container runtimes refuse. What forbids
    sockets everywhere is `seccomp.seal`. Nor can anyone look into this process from now on.
    """
    found = any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    return found


def confine(libc: ctypes.CDLL, parent: int, cpu_seconds: int, memory_bytes: int) -> None:
    """Bound this process, which is `parent`'s child and ends with it."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, 1)  # SIGXCPU first, which says why


def no_more_files() -> None:
    """No descriptor beyond the three that there are: a hurdle, no wall, for where system calls cannot be given up."""
    _limit(resource.RLIMIT_NOFILE, 3)


def _limit(what: int, most: int, spare: int = 0) -> None:
    """Lower a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    bounds = (most, most + spare) if hard == resource.RLIM_INFINITY else (min(most, hard), min(most + spare, hard))
    resource.setrlimit(what, bounds)
