"""A disk that is full or fails under the real `ullage run`: what is not durable is never said to
be, and all goes on afterwards.

A full disk is a tmpfs that is filled. One that fails is this machine's own, whose writes or syncs
are answered with an error by `tests/faults/failing_disk.c`, which is loaded before the C library.
Both meet match and alert in turn, which are held until there is something to do, and then whoever
hands posts in.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from alerts.records import Exposure
from alerts.store import DocumentFilter, open_configured_store
from deploy.demo.people import Person, people
from tests.flow.daemon import Daemon, until
from ullage.bus import CAPTURES, FINDINGS
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.settings import Context

SOURCE = Path(__file__).parents[1] / "faults" / "failing_disk.c"
NOTHING, WRITES, SYNCS = range(3)
CONTROL = struct.Struct("4i")
READERS = {"match": CAPTURES, "alert": FINDINGS}
POSTS = 20
BALLAST = 16 * 1024
SOON = 90.0


class FailingDisk:
    """This machine's disk, of which one kind of call fails with an error while `broken`."""

    def __init__(self, tmp_path: Path, what: int, number: int) -> None:
        self.folder, self.what, self.number = tmp_path / "disk", what, number
        self.folder.mkdir()
        library, control = tmp_path / "failing_disk.so", tmp_path / "control"
        if shutil.which("cc") is None:
            pytest.skip("what fails a disk's calls is C, and there is no compiler")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        control.write_bytes(bytes(CONTROL.size))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), CONTROL.size)
        self.environment = {
            "LD_PRELOAD": str(library),
            "DISK_CONTROL": str(control),
            "DISK_FOLDER": str(self.folder),
        }

    def count_failures(self) -> int:
        """Count the calls that failed since the disk was broken."""
        return int(CONTROL.unpack(self._control)[2])

    def breaks(self) -> None:
        # the error first: a call that fails in between must not fail without one
        self._control[:] = CONTROL.pack(NOTHING, self.number, 0, 0)
        self._control[:] = CONTROL.pack(self.what, self.number, 0, 0)

    def works(self) -> None:
        self._control[:] = bytes(CONTROL.size)

    def close(self) -> None:
        self._control.close()


class FullDisk:
    """A tmpfs that has no byte left while it `breaks`."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "disk"
        self.folder.mkdir()
        self.environment = dict[str, str]()
        # more than `ullage check` asks for
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384m", "none", self.folder], check=True)

    def count_failures(self) -> int:
        """Return 1: that a disk is full shows only in what is logged, not in a count."""
        return 1

    def breaks(self) -> None:
        with (
            (self.folder / "ballast").open("wb", buffering=0) as ballast,
            contextlib.suppress(OSError),
        ):
            while ballast.write(bytes(BALLAST)):
                pass

    def works(self) -> None:
        (self.folder / "ballast").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)


Disk = FailingDisk | FullDisk
CASES: dict[str, Callable[[Path], Disk]] = {
    "full": FullDisk,
    "a sync fails": lambda tmp_path: FailingDisk(tmp_path, SYNCS, errno.EIO),
    "a write fails": lambda tmp_path: FailingDisk(tmp_path, WRITES, errno.EIO),
    "read-only": lambda tmp_path: FailingDisk(tmp_path, WRITES, errno.EROFS),
    "no space, by the call": lambda tmp_path: FailingDisk(tmp_path, WRITES, errno.ENOSPC),
}
SHORT = ("full", "a sync fails")
"""Tried by every run; the others by `make test-faults`."""


@pytest.fixture(
    params=[
        pytest.param(name, marks=getattr(pytest.mark, "flow" if name in SHORT else "faults"))
        for name in CASES
    ]
)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "full" and os.geteuid():
        pytest.skip("a file system of its own needs root")
    with contextlib.closing(CASES[request.param](tmp_path)) as broken_disk:
        yield broken_disk


@dataclass
class Work:
    """A daemon whose data folder lies on the disk, and what it must have found."""

    daemon: Daemon
    disk: Disk
    customers: list[Person]
    faults: set[str]
    """What `ullage check` has to say before anything broke."""
    posts: int = 0

    def lines(self) -> str:
        """Return lines to ingest, each a post that gives away one customer."""
        numbers = range(self.posts, self.posts + POSTS)
        self.posts += POSTS
        numbered = [(n, self.customers[n]) for n in numbers]
        return "\n".join(
            json.dumps(
                {
                    "site": "x",
                    "url": f"http://x.example/{n}",
                    "text": f"{customer.name},{customer.phone}",
                }
            )
            for n, customer in numbered
        )

    def count_exposed_customers(self) -> int:
        """Count the customers in the store without writing anything."""
        with contextlib.closing(open_configured_store(Context(self.daemon.data))) as store:
            return store.count(Exposure, DocumentFilter())

    def is_everything_stored(self) -> bool:
        return self.count_exposed_customers() == self.posts

    def pid(self, role: str) -> int:
        """Return the process of a role, which the supervisor may have restarted."""
        assert self.daemon.process is not None
        ends = b"\0%s\0" % role.encode()
        for pid in self.daemon.roles():
            with contextlib.suppress(OSError):  # it may have ended since it was listed
                if (Path("/proc") / str(pid) / "cmdline").read_bytes().endswith(ends):
                    return pid
        raise AssertionError(f"{role} is not running")

    def waiting(self, role: str) -> int:
        """Count the records that wait for a role."""
        with contextlib.closing(Context(self.daemon.data).bus()) as bus:
            return sum(place.waiting for place in bus.places(READERS[role], role).values())

    def count_refusals(self, role: str) -> int:
        """Count how often a role logged that the disk refuses its writes."""
        lines = self.daemon.log.read_text().splitlines()
        return sum(
            "cannot be read or written" in line and f'"role": "{role}"' in line for line in lines
        )


def faults(daemon: Daemon) -> set[str]:
    """Return the faults that `ullage check` reports."""
    process = subprocess.run(
        command(daemon.data, "check"), env=os.environ, capture_output=True, text=True, check=False
    )
    return {line for line in process.stdout.splitlines() if line.startswith("FAULT")}


@pytest.fixture
def work(tmp_path: Path, disk: Disk) -> Iterator[Work]:
    customers = list(people(9 * POSTS, 7))
    with Daemon.create_for_bank(disk.folder / "data", tmp_path, customers) as daemon:
        prepared = Work(daemon, disk, customers, faults(daemon))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in disk.environment.items():
                patch.setenv(name, value)
            daemon.start()
        daemon.ask("ingest", "-", text=prepared.lines())
        until(prepared.is_everything_stored, "the first posts are found")
        yield prepared


def hand_in(work: Work) -> subprocess.Popen[bytes]:
    """Start an `ullage ingest` of more posts, with the daemon's log."""
    log = work.daemon.log.open("ab")
    environment = {**os.environ, **work.disk.environment, SUPERVISOR: str(os.getpid())}
    with log:
        process = subprocess.Popen(
            command(work.daemon.data, "ingest", "-"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
    assert process.stdin is not None
    process.stdin.write(work.lines().encode())
    process.stdin.flush()
    return process


def inodes(data: Path) -> set[str]:
    """Return the inodes of what processes lock only for a moment, below a data folder.

    `NAME.lock` marks the only process of its kind and `NAME.note` a living one: both are locked for
    good.
    """
    numbers = {str(data.stat().st_ino)}
    for path in data.rglob("*"):
        if path.suffix not in (".lock", ".note"):
            with contextlib.suppress(FileNotFoundError):  # a draft
                numbers.add(str(path.stat().st_ino))
    return numbers


def locks(pid: int, data: Path) -> bool:
    """Return whether a process holds a lock of a data folder for which others would wait.

    SQLite locks by `fcntl`; all else, and the opening of a database, by `flock`.
    """
    waited_for = inodes(data)
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, mode, holder, place, *_ = line.split()
        is_held = kind in ("POSIX", "FLOCK") and (mode, holder) == ("WRITE", str(pid))
        if is_held and place.rpartition(":")[2] in waited_for:
            return True
    return False


def stop_without_locks(pid: int, data: Path) -> bool:
    """Stop a process; it goes on, and the answer is no, when it had locked a file of `data`."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid), "the process is stopped")
    if locks(pid, data):
        os.kill(pid, signal.SIGCONT)
        return False
    return True


def is_stopped(pid: int) -> bool:
    """Return whether each of a process's threads is stopped."""
    states = set[str]()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread may have ended since it was listed
            states.add(path.read_text().rpartition(")")[2].split()[0])
    return states == {"T"}


@contextlib.contextmanager
def stop_process(pid: int, data: Path) -> Iterator[None]:
    """Hold a process still, locking no file of `data`, for the time of a block."""
    until(
        lambda: stop_without_locks(pid, data),
        "the process is stopped between two of its transactions",
    )
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def breaks_under(work: Work, role: str) -> None:
    """Break the disk before a role deals with what waits, and mend it once the role noticed."""
    disk, exposed = work.disk, work.count_exposed_customers()
    until(
        lambda: work.waiting(role) < POSTS,
        f"{role} is through with what came before, which is found before it is",
        SOON,
    )
    with stop_process(work.pid(role), work.daemon.data):
        work.daemon.ask("ingest", "-", text=work.lines())
        until(lambda: work.waiting(role) >= POSTS, f"records wait for {role}", SOON)
        before = work.count_refusals(role)
        disk.breaks()
    until(
        lambda: work.count_refusals(role) > before and disk.count_failures() > 0,
        f"{role} says that the disk does not take it",
        SOON,
    )
    assert work.waiting(role) >= POSTS, "nothing is done of which nothing could be kept"
    assert work.count_exposed_customers() == exposed
    disk.works()
    until(work.is_everything_stored, f"{role} goes on by itself")


@pytest.mark.timeout(600)
def test_full_disk_loses_nothing_acknowledged_and_work_continues(work: Work) -> None:
    for role in READERS:
        breaks_under(work, role)
    work.disk.breaks()
    ingest = hand_in(work)
    until(lambda: work.count_refusals("ingest") > 0, "who hands posts in is told to wait", SOON)
    assert ingest.poll() is None, "a post is said to be taken that is not on the disk"
    work.disk.works()
    assert ingest.communicate(timeout=SOON)[0] == b"%d accepted, 0 refused\n" % POSTS
    assert ingest.returncode == 0
    until(work.is_everything_stored, "what was handed in is found")
    assert work.daemon.stop() == 0
    assert set(work.daemon.exposures().values()) == {1}
    sightings = [
        sighting["id"] for incident in work.daemon.incidents() for sighting in incident["seen"]
    ]
    assert len(sightings) == len(set(sightings)) == work.posts
    assert "Traceback" not in work.daemon.log.read_text()
    work.daemon.ask("audit", "verify")
    assert faults(work.daemon) <= work.faults
