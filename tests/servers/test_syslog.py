"""The copy of the audit log on a real rsyslog, over TLS, that is killed meanwhile."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.certificates import Authority
from tests.stores import cannot_be_had
from ullage.audit import Trail
from ullage.audit.forwarding import AuditForwarder, count_waiting, find_fault
from ullage.audit.syslog import read_url
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.security.keys import KeyStore

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]
SECONDS = 120.0
CONFIGURATION = """\
global(
  workDirectory="{folder}"
  defaultNetstreamDriverCAFile="{folder}/ca.pem"
  defaultNetstreamDriverCertFile="{folder}/server.pem"
  defaultNetstreamDriverKeyFile="{folder}/server.key"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="parsed" type="list") {{
  constant(value="{{") property(outname="host" name="hostname" format="jsonf")
  constant(value=",") property(outname="program" name="app-name" format="jsonf")
  constant(value=",") property(outname="chain" name="procid" format="jsonf")
  constant(value=",") property(outname="action" name="msgid" format="jsonf")
  constant(value=",") property(outname="facility" name="syslogfacility-text" format="jsonf")
  constant(value=",") property(outname="facts" name="structured-data" format="jsonf")
  constant(value=",") property(outname="entry" name="msg" format="jsonf")
  constant(value="}}\\n")
}}
action(type="omfile" file="{folder}/received" template="parsed")
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def port(tmp_path: Path) -> int:
    """Certificates and the configuration of rsyslog in the folder, for a free port."""
    if not shutil.which("rsyslogd") or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        cannot_be_had(
            UnavailableError(
                "no rsyslog with TLS is installed: apt-get install rsyslog rsyslog-gnutls"
            )
        )
    certificate, chosen = Authority().server(), free_port()
    for name, content in (
        ("ca.pem", certificate.authority),
        ("server.pem", certificate.certificate),
        ("server.key", certificate.key),
    ):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "rsyslog.conf").write_text(CONFIGURATION.format(folder=tmp_path, port=chosen))
    return chosen


@contextmanager
def rsyslog(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = [
        "rsyslogd",
        "-n",
        "-f",
        str(folder / "rsyslog.conf"),
        "-i",
        str(folder / "rsyslog.pid"),
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
    (folder / "rsyslog.pid").unlink(missing_ok=True)


def until(what: str, holds: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.05)


def read_received(folder: Path) -> list[dict[str, str]]:
    path = folder / "received"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )


def test_killed_rsyslog_still_gets_every_entry(port: int, tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit", "search", KeyStore(tmp_path / "keys"), Clock())
    receiver = read_url(f"syslog://127.0.0.1:{port}?cafile=ca.pem", tmp_path)
    assert receiver
    stop, root = threading.Event(), tmp_path / "audit"
    thread = threading.Thread(
        target=AuditForwarder(root, receiver, Clock()).run, args=(stop,), daemon=True
    )
    thread.start()
    try:
        with rsyslog(tmp_path):
            for number in range(300):
                trail.append(
                    "lookup",
                    f"a person {number}",
                    actor="李伟",
                    tenant="bank",
                    reason='case 7 "]\\ 复核',
                )
            until("all is received", lambda: len(read_received(tmp_path)) >= 300)
        until("it is missed", lambda: "does not respond" in find_fault(root))
        trail.append("incident.ack", "incident INC-1", actor="Li Wei")
        assert count_waiting(root) > 0
        with rsyslog(tmp_path):
            until(
                "the rest is received",
                lambda: read_received(tmp_path)[-1]["action"] == "incident.ack",
            )
            until("it is delivered", lambda: count_waiting(root) == 0 and not find_fault(root))
    finally:
        stop.set()
        thread.join(SECONDS)
    [written] = (root / "search").glob("*.jsonl")
    entries = written.read_text(encoding="utf-8").splitlines()
    copies = [record["entry"].removeprefix("\ufeff") for record in read_received(tmp_path)]
    assert list(dict.fromkeys(copies)) == entries
    first = read_received(tmp_path)[0]
    assert (first["program"], first["chain"], first["action"], first["facility"]) == (
        "ullage",
        "search",
        "lookup",
        "audit",
    )
    assert '[meta sequenceId="1"]' in first["facts"]
