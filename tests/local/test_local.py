"""The starter of real site software: ready when it says so, gone when it should be, loopback
alone.
"""

import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from deploy.local import elasticsearch, programs, server
from deploy.local.child import become
from deploy.local.posting import Bepasty, Browser, Spirit
from deploy.local.programs import bepasty, ensure_environment, spirit
from ullage.errors import ConfigError, UnavailableError

SERVER = """
import http.server, sys
address = ("127.0.0.1", int(sys.argv[1]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""
PARENT = """
import contextlib, sys
from pathlib import Path
from deploy.local import server
port = server.free_ports(1)[0]
command = [sys.executable, "-c", {server!r}, str(port)]
with server.running("it", command, Path({work!r}) / "server.log", {{}}, port):
    print(port, flush=True)
    sys.stdin.read()
"""


def answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(f"http://127.0.0.1:{port}/", timeout=60).status == 200
    except OSError:
        return False


def test_program_is_ready_inside_the_context_and_ended_after_it(tmp_path: Path) -> None:
    port = server.free_ports(1)[0]
    with server.running(
        "it", [sys.executable, "-c", SERVER, str(port)], tmp_path / "server.log", {}, port
    ):
        assert answers(port)
    assert not answers(port)
    assert "GET /" in (tmp_path / "server.log").read_text()


def test_program_that_ends_before_it_is_ready_is_reported(tmp_path: Path) -> None:
    port = server.free_ports(1)[0]
    with (
        pytest.raises(
            UnavailableError, match=r"ended with 3 before it was ready: see .*server\.log"
        ),
        server.running(
            "it", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "server.log", {}, port
        ),
    ):
        pytest.fail("never ready")


def test_program_dies_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    code = PARENT.format(server=SERVER, work=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        port = int(parent.stdout.readline())
        assert answers(port)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        watched = [os.pidfd_open(int(child)) for child in children]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert len(watched) == 1
    import select

    # a pidfd is readable when its process has ended
    assert select.select(watched, [], [], 60)[0] == watched
    os.close(watched[0])


def test_child_of_a_dead_parent_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(
        "ctypes.CDLL", lambda *_, **__: type("libc", (), {"prctl": staticmethod(lambda *_: 0)})
    )
    become(os.getppid() + 1, ["/bin/true"])


def test_failing_step_names_the_program_and_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="failed: the last word"):
        programs.run(
            [sys.executable, "-c", "import sys; sys.exit('first\\nthe last word')"], tmp_path
        )


def test_environment_is_made_once_and_again_when_the_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], folder: Path) -> str:
        ran.append(words)
        if "venv" in words:
            Path(words[-1]).mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(programs, "run", run)
    pins = tmp_path / "pins.txt"
    pins.write_text("bepasty==1\n")
    monkeypatch.setattr(programs, "REQUIREMENTS", pins)
    for _ in range(2):
        assert ensure_environment(tmp_path / "made" / "venv") == tmp_path / "made" / "venv" / "bin"
    assert len(ran) == 2
    pins.write_text("bepasty==2\n")
    ensure_environment(tmp_path / "made" / "venv")
    assert len(ran) == 4
    assert ran[-1][-2:] == ["--requirement", str(pins)]


@pytest.mark.parametrize(
    "base", ["http://paste.example/", "http://10.0.0.1/", "http://localhost.example/"]
)
def test_nothing_is_posted_to_another_machine(base: str) -> None:
    with pytest.raises(ConfigError, match=r"must be on 127\.0\.0\.1"):
        Browser(base)


def test_unreachable_server_is_reported_in_one_line() -> None:
    with pytest.raises(UnavailableError, match="cannot be reached"):
        Bepasty(f"http://127.0.0.1:{server.free_ports(1)[0]}").paste("x", "x.txt")


@pytest.mark.flow
def test_real_programs_keep_posts_over_a_restart(tmp_path: Path) -> None:
    binaries = ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv")
    with bepasty(binaries, tmp_path / "b") as base:
        text, file = (
            Bepasty(base).paste("你好", "a.txt"),
            Bepasty(base).paste(b"PK\x03\x04\xff", "b.zip", "application/zip"),
        )
    with bepasty(binaries, tmp_path / "b") as base:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"{base}/{text}/+inline").read().decode() == "你好"
        assert opener.open(f"{base}/{file}/+download").read() == b"PK\x03\x04\xff"
    with spirit(binaries, tmp_path / "s", ("One",)) as forum:
        topic = Spirit(forum.url, forum.user, forum.password).topic(
            forum.categories["One"], "标题", "body"
        )
        with pytest.raises(ConfigError, match="rejects user"):
            Spirit(forum.url, forum.user, "wrong")
    with spirit(binaries, tmp_path / "s", ("One", "Two")) as again:
        assert again.categories["One"] == forum.categories["One"] != again.categories["Two"]
        Spirit(again.url, again.user, again.password).reply(topic, "x" * 100_000)
        page = Browser(again.url).get(f"/topic/{topic}/")
        assert "标题" in page.text
        assert "x" * 100_000 in page.text


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root runs Elasticsearch as himself")
def test_files_unpacked_by_root_are_reachable_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(version: str, folder: Path) -> Path:
        archive = folder / "it.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(f"elasticsearch-{version}/bin/elasticsearch", "")
        return archive

    monkeypatch.setattr(elasticsearch, "_download", download)
    before = os.umask(0o077)
    try:
        program = elasticsearch.fetch("1", tmp_path / "demo" / "servers") / "bin" / "elasticsearch"
    finally:
        os.umask(before)
    within = [program, *program.parents][: len(program.relative_to(tmp_path).parts)]
    assert [path.stat().st_mode & 0o001 for path in within] == [1] * 5
