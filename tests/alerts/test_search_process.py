"""`ullage search` as a process: where it listens, what it says, how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from alerts.accounts.accounts import Accounts
from ullage.clock import Clock
from ullage.runtime.role import SUPERVISOR

TYPED = "13800138000"


def start(data: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ullage", "--data", str(data), "search"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def process(data: Path) -> Iterator[subprocess.Popen[str]]:
    (data / "ullage.toml").write_text("[search]\nport = 0\n")
    started = start(data)
    with started:
        yield started
        started.kill()


def program(data: Path) -> str:
    """A program's token."""
    with closing(Accounts(data, Clock())) as accounts:
        return accounts.add_token("crm", ["incident.read"], ["*"], purpose="a test", days=1, by="test")[1]


def address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    return re.fullmatch(r"search page: (http://127\.0\.0\.1:\d+/)\n", line)[1]


def test_it_says_where_it_is_serves_and_ends_on_sigterm_without_a_word_of_what_was_asked(process, data):
    url = address(process)
    token = program(data)
    assert httpx.get(url, timeout=60).status_code == 401
    with httpx.Client(
        base_url=url, headers={"connection": "keep-alive", "authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        assert "No incident yet" in client.get("/").text
        assert client.get("/", params={"q": TYPED}).status_code == 400
        assert client.get("/readyz").text == "ready\n"
        assert "ullage_search_requests_total" in client.get("/metrics").text
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421
        assert "server" not in client.get("/healthz").headers
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert re.findall(r'"event": "(\w+)"', err) == ["started", "stopped"]
    assert (
        len(re.findall(r"^first login \(made now, said once\): admin with the password [a-z0-9-]{27}, ", err, re.MULTILINE)) == 1
    )
    assert TYPED not in err
    assert token not in out + err


def test_it_listens_on_loopback_alone(process):
    port = int(address(process).rstrip("/").rpartition(":")[2])
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{process.pid}/fd").iterdir()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[n] for n in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in inodes:
                listening.append(local)
    assert listening == [f"0100007F:{port:04X}"]


def test_a_taken_port_is_one_line_and_exit_2(data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(data, ULLAGE_SEARCH__PORT=str(port)) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1] == f"ullage: port {port} of search is taken (Address already in use): set search.port, 0 for any"


def test_a_host_that_is_not_loopback_is_refused(data):
    with start(data, ULLAGE_SEARCH__HOST="0.0.0.0") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is not loopback" in err
    assert "Traceback" not in err


def test_it_does_not_outlive_a_supervisor_that_is_gone(data):
    with start(data, **{SUPERVISOR: "1"}) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "supervisor" in err
