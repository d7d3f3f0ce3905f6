"""`ullage search` as a process: where it listens, what it says, how it ends."""

import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerts.accounts.accounts import Accounts
from tests.conftest import in_this_process
from ullage.clock import Clock
from ullage.runtime.service import SUPERVISOR

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
    """Return a token of a program."""
    with closing(Accounts(data, Clock())) as accounts:
        return accounts.add_token(
            "crm", ["incident.read"], ["*"], purpose="a test", days=1, by="test"
        )[1]


def address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    return re.fullmatch(r"search page: (http://127\.0\.0\.1:\d+/)\n", line)[1]


def test_search_process_serves_only_loopback_and_logs_no_query(process, data):
    url = address(process)
    assert listeners(process.pid) == [f"0100007F:{int(url.rstrip('/').rpartition(':')[2]):04X}"]
    token = program(data)
    assert httpx.get(url, timeout=60).status_code == 401
    with httpx.Client(
        base_url=url,
        headers={"connection": "keep-alive", "authorization": f"Bearer {token}"},
        timeout=60,
    ) as client:
        assert "No incidents yet" in client.get("/").text
        assert client.get("/", params={"q": TYPED}).status_code == 400
        assert client.get("/readyz").text == "ready\n"
        assert "ullage_search_requests_total" in client.get("/metrics").text
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421
        assert "server" not in client.get("/healthz").headers
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    events = re.findall(r'"event": "(\w+)"', err)
    assert [event for event in events if event != "rules_in_force"] == [
        "started",
        "stopped",
    ], "what rules fired is read beside it"
    assert (
        len(
            re.findall(
                r"^first login \(created now, shown once\): admin with the password"
                r" [a-z0-9-]{27}, ",
                err,
                re.MULTILINE,
            )
        )
        == 1
    )
    assert TYPED not in err
    assert token not in out + err


def listeners(pid: int) -> list[str]:
    """Address and port of what a process listens on, as the kernel writes them."""
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[n] for n in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in inodes:
                listening.append(local)
    return listening


def run_refused(data: Path, **settings: str) -> tuple[str, str]:
    """Return standard output and the last error line of a search process that does not start."""
    code, out, err = in_this_process("--data", str(data), "search", **settings)
    assert code == 2
    assert "Traceback" not in err
    return out, err.splitlines()[-1]


def test_port_in_use_is_a_one_line_error(data):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        lines = run_refused(data, search__port=str(port))
    assert lines == (
        "",
        (
            f"ullage: port {port} of search is in use (Address already in use): set"
            " search.port; 0 takes a free port"
        ),
    )


def test_non_loopback_host_is_rejected(data):
    assert "is not loopback" in run_refused(data, search__host="0.0.0.0")[1]


def test_search_ends_with_its_supervisor(data):
    with start(data, **{SUPERVISOR: "1"}) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "supervisor" in err


def test_socket_file_serves_the_public_name_and_is_removed(data):
    (data / "ullage.toml").write_text(
        '[search]\nsocket = "desk.sock"\nproxies = ["unix"]\npublic = ["https://desk.example"]\n'
    )
    path = data / "desk.sock"
    with start(data) as process:
        assert process.stdout.readline() == f"search page: unix:{path}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://desk.example", timeout=60
        ) as client:
            assert client.get("/login").status_code == 200
            assert client.get("/login", headers={"host": "evil.example"}).status_code == 421
            assert client.get("/readyz", headers={"host": "localhost"}).text == "ready\n"
        assert (
            run_refused(data)[1] == f"ullage: {path} is served by another process: end that process"
        )
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not path.exists()


def test_certificate_enables_tls_only(data, tmp_path):
    certificate, key = own_certificate(tmp_path)
    (data / "ullage.toml").write_text(
        f'[search]\nport = 0\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    with start(data) as process:
        url = re.fullmatch(
            r"search page: (https://127\.0\.0\.1:\d+/)\n", process.stdout.readline()
        )[1]
        trusting = ssl.create_default_context(cafile=certificate)
        assert httpx.get(f"{url}login", verify=trusting, timeout=60).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https:", "http:"), timeout=60)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    key.chmod(0o640)
    assert "0600" in run_refused(data)[1]


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate of 127.0.0.1 and its key, and return both paths."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    builder = (
        builder.serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    paths = folder / "console.pem", folder / "console.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths[1].touch(0o600)
    paths[1].write_bytes(key.private_bytes(*private))
    return paths
