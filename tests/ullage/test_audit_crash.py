"""A process that is killed while it writes the audit log: what it was told is there, and the
chain goes on.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ullage.audit import Trail, walk, walk_all
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.security.keys import KeyStore

WRITER = """
import sys
from pathlib import Path
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.security.keys import KeyStore
root = Path(sys.argv[1])
trail = Trail(root / "audit", "search", KeyStore(root / "keys"), Clock(), max_segment=2_000)
while True:
    print(trail.append("incident.decide", "incident INC-A", actor="writer").seq, flush=True)
"""


@pytest.mark.parametrize("after", [1, 4, 9, 17])
def test_kill_at_any_moment_loses_no_acknowledged_entry(tmp_path: Path, after: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().splitlines() if line]
    trail = Trail(tmp_path / "audit", "search", KeyStore(tmp_path / "keys"), Clock())
    chain_state = walk(tmp_path / "audit" / "search", trail.keys)
    assert chain_state.faults == []
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    assert len(acknowledged) <= chain_state.seq <= len(acknowledged) + 1
    assert (
        trail.append("incident.decide", "incident INC-B", actor="next").seq == chain_state.seq + 1
    )
    assert walk(tmp_path / "audit" / "search", trail.keys).faults == []


def fail_sync(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let the sync of this number fail; return a list with the number of syncs before it."""
    syncs_left, fsync = [number], os.fsync

    def failing(handle: int) -> None:
        syncs_left[0] -= 1
        if syncs_left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    monkeypatch.setattr("ullage.files.atomic_write.os.fsync", failing)
    return syncs_left


@pytest.mark.parametrize("external", [False, True], ids=["key is a file", "key is external"])
def test_failure_at_any_point_of_the_first_entry_is_no_missing_chain(
    tmp_path: Path, monkeypatch, external: bool
) -> None:
    """A service may start while the disk fails; until its next start nothing was lost."""
    command = ("printf", "ab" * 32 + "%.0s") if external else ()
    for fails_at in range(1, 50):
        data = tmp_path / str(fails_at)
        trail = Trail(data / "audit", "search", KeyStore(data / "keys", command), Clock())
        with monkeypatch.context() as patch:
            syncs_left = fail_sync(patch, fails_at)
            with contextlib.suppress(UnavailableError, OSError):
                trail.append("account", "account 1: operator", actor="Li")
        reported = [fault.what for c in walk_all(trail.root, trail.keys) for fault in c.faults]
        assert reported == [], f"after a failure of sync {fails_at}"
        trail.append("account", "account 2: operator", actor="Li")
        (chain,) = walk_all(trail.root, trail.keys)
        assert (chain.faults, chain.begins) == ([], 1)
        if syncs_left[0] > 0:
            return
    pytest.fail("the first entry needs more syncs than this test expects")


@pytest.mark.parametrize("fails_at", [1, 2], ids=["its entry", "its head"])
def test_failed_sync_is_a_one_line_error_and_adds_no_entry(
    tmp_path: Path, monkeypatch, fails_at: int
) -> None:
    """After a sync that failed an entry may be readable and on no disk: it must not be taken for
    one that is.
    """
    trail = Trail(tmp_path / "audit", "search", KeyStore(tmp_path / "keys"), Clock())
    trail.append("incident.decide", "incident INC-A", actor="Li")
    with monkeypatch.context() as patch:
        fail_sync(patch, fails_at)
        with pytest.raises(
            UnavailableError,
            match=r"audit chain .*search cannot be read or written \(Input/output error\)",
        ):
            trail.append("incident.decide", "incident INC-B", actor="Li")
    if fails_at == 1:
        assert walk(tmp_path / "audit" / "search", trail.keys).seq == 1
    trail.append("incident.decide", "incident INC-C", actor="Li")
    chain_state = walk(tmp_path / "audit" / "search", trail.keys)
    assert (chain_state.faults, chain_state.seq) == ([], fails_at + 1)
