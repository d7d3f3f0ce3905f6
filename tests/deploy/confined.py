"""Runs a command the way a unit's service section says, where there is no systemd to do it: python
confined.py JSON.

The same system calls, address families and namespaces are refused by the same means (libseccomp),
the same kernel switch forbids memory that is written and executed, and user, groups, capabilities,
umask and core limit are what the unit says. Mounts are not made: what the unit hides or makes
read-only is left to the user's rights here.
"""

import ctypes
import json
import os
import resource
import socket
import sys
from pathlib import Path

ALLOW, REFUSE, NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
EQUAL, MASKED = 4, 7
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_SET_MDWE, NO_EXEC_GAIN = 38, 24, 65, 1
LAST_CAPABILITY = 63
NAMESPACES = {
    "cgroup": 0x02000000, "ipc": 0x08000000, "mnt": 0x00020000, "net": 0x40000000,
    "pid": 0x20000000, "user": 0x10000000,
    "uts": 0x04000000, "time": 0x00000080,
}  # fmt: skip


MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def reachable(kernel: ctypes.CDLL, folders: list[str]) -> None:
    """Let these be read where they lie, by this process, though a folder above is closed to
    others, as root's home is.
    """

    def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
        if kernel.mount(
            source.encode(), bytes(target), kind.encode(), flags, options.encode() or None
        ):
            sys.exit(f"{target} cannot be mounted: {os.strerror(ctypes.get_errno())}")

    shut = {
        Path(f): [p for p in reversed(Path(f).parents) if not p.stat().st_mode & 0o001]
        for f in folders
    }
    shut = {folder: above for folder, above in shut.items() if above}
    if shut and kernel.unshare(NAMESPACES["mnt"]):
        sys.exit("no mounts of its own")
    if shut:
        mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    # of these mounts, not of those before
    closed = {folder: os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in shut}
    for above in {above[0] for above in shut.values()}:
        mount("tmpfs", above, "tmpfs", 0, "mode=0755")
    for folder, held in closed.items():
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{held}", folder, "", MS_BIND | MS_REC)
        os.close(held)


class ArgumentComparison(ctypes.Structure):
    """An argument of a call, as libseccomp compares it."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def filtered(calls: list[str], families: list[str], namespaces: list[str]) -> None:
    """Allow `calls` alone, sockets of `families` alone, new namespaces of these kinds alone."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(library.seccomp_init(REFUSE))

    def allow(name: str, *compared: ArgumentComparison, how: int = ALLOW) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        array = (ArgumentComparison * max(1, len(compared)))(*compared)
        if number >= 0 and (
            code := library.seccomp_rule_add_array(filter_, how, number, len(compared), array)
        ):
            sys.exit(f"no rule for {name}: {os.strerror(-code)}")

    refused = sum(bits for name, bits in NAMESPACES.items() if name not in namespaces)
    for name in set(calls) - {"socket", "unshare", "clone", "setns", "clone3"}:
        allow(name)
    for family in families:
        allow("socket", ArgumentComparison(0, EQUAL, int(getattr(socket, family)), 0))
    for name in ("unshare", "clone"):
        allow(
            name, ArgumentComparison(0, MASKED, refused & ~0x80 if name == "clone" else refused, 0)
        )
    # its flags lie in memory, where no filter sees them: the library then takes clone
    allow("clone3", how=NO_SUCH_CALL)
    if code := library.seccomp_load(filter_):
        sys.exit(f"no filter: {os.strerror(-code)}")


def main() -> None:
    """Give everything up, then become the command."""
    told = json.loads(sys.argv[1])
    kernel = ctypes.CDLL(None, use_errno=True)
    reachable(kernel, told["reads"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(int(told["umask"], 8))
    for capability in range(LAST_CAPABILITY + 1):
        kernel.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(told["groups"])
    os.setresgid(*[told["group"]] * 3)
    os.setresuid(*[told["user"]] * 3)
    os.chdir(told["folder"])
    if kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        sys.exit("no_new_privs is refused")
    if told["mdwe"] and kernel.prctl(PR_SET_MDWE, NO_EXEC_GAIN, 0, 0, 0):
        sys.exit("this kernel has no PR_SET_MDWE: version 6.3 or newer is needed")
    filtered(told["calls"], told["families"], told["namespaces"])
    os.execve(told["words"][0], told["words"], told["environment"])


main()
