"""What server and child give up before anything is read: network, gains, time, memory, and nearly all system calls.

System calls are given up for good: what is left is reading, writing, memory and exit. An allow-list as a classic BPF program
(`man 2 seccomp`), laid by prctl, which needs no privilege after no_new_privs. Everything else answers EPERM, so that a library's
optional call does no harm: no file can be opened, no socket made, nothing executed or forked, no other process signalled or
traced. Memory that can be executed is refused as well: there is no injecting of code. Numbers are from the kernel's tables
(`asm/unistd_64.h`, `asm-generic/unistd.h`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from functools import cache

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
    end_with(libc, parent)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, 1)  # SIGXCPU first, which says why


def end_with(libc: ctypes.CDLL, parent: int) -> None:
    """Have this process, which is `parent`'s child, end when that ends."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def no_more_files() -> None:
    """No descriptor beyond the three that there are: a hurdle, no wall, for where system calls cannot be given up."""
    _limit(resource.RLIMIT_NOFILE, 3)


def _limit(what: int, most: int, spare: int = 0) -> None:
    """Lower a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    bounds = (most, most + spare) if hard == resource.RLIM_INFINITY else (min(most, hard), min(most + spare, hard))
    resource.setrlimit(what, bounds)


X86_64 = (0xC000003E, 9, 10, {
    "read": 0, "write": 1, "close": 3, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28,
    "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "futex": 202, "clock_gettime": 228, "exit_group": 231, "getrandom": 318,
})  # fmt: skip
AARCH64 = (0xC00000B7, 222, 226, {
    "read": 63, "write": 64, "close": 57, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214,
    "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67, "writev": 66, "sched_yield": 124,
    "mremap": 216, "madvise": 233, "exit": 93, "gettimeofday": 169, "sigaltstack": 132, "futex": 98, "clock_gettime": 113,
    "exit_group": 94, "getrandom": 278,
})  # fmt: skip
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1
NUMBER, ARCHITECTURE, THIRD_ARGUMENT = 0, 4, 16 + 2 * 8
PROT_EXEC = 4
PR_SET_SECCOMP, MODE_FILTER = 22, 2


@cache
def program(machine: str) -> bytes:
    """The filter for a machine as `os.uname` names it, empty where its numbers are not known.

    Eight bytes an instruction: code u16, jump if true u8, jump if false u8, operand u32.
    """
    if machine not in MACHINES:
        return b""
    audit, mmap, mprotect, numbers = MACHINES[machine]
    plain = [number for number in numbers.values() if number not in (mmap, mprotect)]
    code = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, audit), (RETURN, 0, 0, REFUSE), (LOAD, 0, 0, NUMBER)]
    for n, number in enumerate((*plain, mmap, mprotect)):
        left = len(plain) + 1 - n  # comparisons still to come
        code.append((EQUAL, left + (2 if number in (mmap, mprotect) else 1), 0, number))
    code += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code += [(LOAD, 0, 0, THIRD_ARGUMENT), (ANY_BIT, 0, 1, PROT_EXEC), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def seal(libc: ctypes.CDLL) -> bool:
    """Give up all other system calls, for ever. False where the kernel or the machine does not know how."""
    steps = program(os.uname().machine)
    if not steps:
        return False
    held = ctypes.create_string_buffer(steps, len(steps))
    filter_ = struct.pack("@HP", len(steps) // 8, ctypes.addressof(held))
    return bool(libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.c_char_p(filter_), 0, 0) == 0)
