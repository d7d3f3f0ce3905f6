"""A process that is killed while it writes the audit log: what it was told is there, and the
chain goes on.
"""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ullage.audit import Trail, walk
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


@pytest.mark.parametrize("fails_at", [1, 2], ids=["its entry", "its head"])
def test_failed_sync_is_a_one_line_error_and_adds_no_entry(
    tmp_path: Path, monkeypatch, fails_at: int
) -> None:
    """After a sync that failed an entry may be readable and on no disk: it must not be taken for
    one that is.
    """
    trail = Trail(tmp_path / "audit", "search", KeyStore(tmp_path / "keys"), Clock())
    trail.append("incident.decide", "incident INC-A", actor="Li")
    writes_left, fsync = [fails_at], os.fsync

    def failing(handle: int) -> None:
        writes_left[0] -= 1
        if writes_left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("ullage.files.atomic_write.os.fsync", failing)
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
