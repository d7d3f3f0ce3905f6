"""`ullage run` starts intake and the collectors that are configured, now and later, and starts
them again when they die.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from deploy.demo.people import people
from deploy.local.server import HOST, free_ports
from tests.flow.daemon import Daemon, until
from ullage.errors import UllageError

pytestmark = pytest.mark.flow
PORTS = ("SEARCH__PORT", "INTAKE__PORT")
PORTS += tuple(
    f"METRICS_PORTS__{name}" for name in ("CRAWL", "MATCH", "ALERT", "INTAKE", "MATRIX", "XMPP")
)


def channel(data: Path, name: str, service: str, address: str) -> None:
    (data / "channels.d").mkdir(exist_ok=True)
    lines = [
        f'service = "{service}"',
        f'address = "{address}"',
        'account = "reader"',
        'access = "open"',
    ]
    lines += ['legal_basis = "test"', 'owner = "test"', "expires = 2099-01-01"]
    (data / "channels.d" / f"{name}.toml").write_text("\n".join(lines), encoding="utf-8")


def pid_of(daemon: Daemon, *words: str) -> int:
    """Return the process that the supervisor started with these words, 0 for none."""
    for pid in daemon.roles():
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        if arguments[-len(words) :] == [word.encode() for word in words]:
            return pid
    return 0


def status(daemon: Daemon) -> dict[str, str]:
    """Return what `ullage status` says of each role; it fails while one is not ready."""
    try:
        rows = daemon.ask("status", "--json").splitlines()
    except UllageError:
        return {}
    return {row["role"]: row["state"] for row in map(json.loads, rows)}


def test_run_starts_chats_and_intake_like_other_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        monkeypatch.setenv(f"ULLAGE_{name}", str(port))
    data = tmp_path / "data"
    with Daemon.create_for_bank(data, tmp_path, list(people(3, 5))) as daemon:
        with (data / "ullage.toml").open("a", encoding="utf-8") as file:
            file.write("\n[intake]\nrun = true\n")
        channel(data, "loans", "matrix", "#loans:localhost")
        (data / "keys" / "collect").mkdir(mode=0o700)
        secret = data / "keys" / "collect" / "reader"
        secret.write_text(f"http://{HOST}:9\n@reader:localhost\ntoken\n")
        secret.chmod(0o600)
        daemon.start()
        five = dict.fromkeys(
            ("crawl", "match", "alert", "search", "intake", "collect matrix"), "ready"
        )
        until(lambda: status(daemon) == five, "all that is configured is ready")
        for words in (("collect", "matrix"), ("intake",)):
            killed = pid_of(daemon, *words)
            os.kill(killed, signal.SIGKILL)
            until(
                lambda words=words, killed=killed: pid_of(daemon, *words) not in (0, killed),
                f"{words[0]} is started again",
            )
        channel(data, "pawn", "xmpp", "pawn@rooms.localhost")
        until(
            lambda: status(daemon) == {**five, "collect xmpp": "ready"},
            "a collector is started when its first channel comes",
        )
        assert daemon.stop() == 0
