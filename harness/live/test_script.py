"""Hostile pages in a real browser: none reaches anything but its own site, none holds up
another, and each has its state.
"""

import contextlib
import json
import signal
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawlers.fetching.rendering import MEMORY_BYTES
from harness.reach.boards import boards
from harness.reach.by_script import ScriptBoard
from harness.reach.content import Content
from harness.reach.planted import plan
from harness.reach.shape import serve
from tests.crawlers.chromium import OPTIONS, PROGRAM, board, require_browser
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, serving
from tests.flow.daemon import children, is_alive, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
LIST = 'document.body.insertAdjacentHTML("beforeend", `<li><a href="/t/1">title</a> 1</li>`);'
"""What an honest script would do: a list with one thread."""
LINK = 'const a = document.createElement("a"); document.body.append(a);'
UNSEEN = {
    "file": 'location.href = "file:///etc/passwd";',
    "opens": 'window.open("OTHER/opened"); window.open("file:///etc/passwd");',
    "posts": 'fetch("/posted", {method: "POST", body: "x"}); navigator.sendBeacon("/beacon", "x");',
    "fetches": (
        'for (const url of ["OTHER/fetched", "http://169.254.169.254/latest/",'
        ' "http://nowhere.example/"]) fetch(url);'
    ),
    "form": (
        'document.body.innerHTML = "<form action=/sent method=POST></form>";'
        " document.forms[0].submit();"
    ),
    "download": f'{LINK} a.href = "/big.zip"; a.download = "x"; a.click();',
    "frames": (
        'document.body.innerHTML = "<iframe src=OTHER/frame></iframe><iframe'
        ' src=/frame></iframe><iframe src=file:///etc/>";'
    ),
    "sockets": (
        'new WebSocket("OTHER/socket".replace("http", "ws")); new EventSource("OTHER/events");'
    ),
    "workers": (
        """new Worker(URL.createObjectURL(new Blob(['fetch("OTHER/worker")'])));
        if (navigator.serviceWorker) navigator.serviceWorker.register("/sw.js");"""
    ),
    "webrtc": (
        """const peer = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:UDP"}]});
        peer.createDataChannel("x");
        peer.createOffer().then(offer => peer.setLocalDescription(offer));"""
    ),
    "pictures": (
        'for (const url of ["OTHER/i", "/i"]) new Image().src = url; document.body.style.background'
        ' = "url(/style)";'
    ),
    "dialogs": 'alert(1); confirm(2); prompt(3); onbeforeunload = () => "no"; print();',
    "hooks": (
        'Object.defineProperty(Element.prototype, "outerHTML", {get() { throw 1 }}); JSON.stringify'
        " = () => { throw 1 };"
    ),
}
"""What a script may try beside the list that it then makes: nothing comes of it, and the list is
read.
"""
FLOOD = """const text = "x".repeat(1000);
for (let i = 0; i < 5e5; i++) document.body.append(
  Object.assign(document.createElement("p"), {textContent: text + i}));"""
BEYOND = (
    'document.head.append(Object.assign(document.createElement("script"), {src: "OTHER/lib.js"}));'
)
UNREAD = {
    "loops": ("for (;;) {}", "layout_changed", "script"),
    "promises": ("const go = () => Promise.resolve().then(go); go();", "layout_changed", "script"),
    "asks": ('const go = () => fetch("/api/ask?" + Math.random()).finally(go); go();',
    "layout_changed", "script"),
    "elsewhere": ('location.href = "OTHER/elsewhere";', "unreachable", "redirects"),
    "metadata": ('location.replace("http://169.254.169.254/latest/meta-data/");', "unreachable",
    "redirects"),
    "flood": (FLOOD, "layout_changed", "script"),
    "beyond": (BEYOND, "layout_changed", "script"),
    "blank": ("throw new Error();", "layout_changed", "script"),
}  # fmt: skip
"""What never makes a list, with state and reason of its site."""


@pytest.fixture
def station(data: Path) -> Station:
    require_browser()
    return Station(data)


@pytest.fixture
def quiet() -> Iterator[socket.socket]:
    """Yield a port to which no datagram may arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        yield receiver


def test_hostile_page_achieves_nothing_and_other_pages_are_read(
    station: Station, quiet: socket.socket
) -> None:
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(serving())
        servers: dict[str, Answers] = {}
        tried = {name: script + LIST for name, script in UNSEEN.items()} | {
            name: script for name, (script, *_) in UNREAD.items()
        }
        for name, script in tried.items():
            servers[name] = server = stack.enter_context(serving())
            board(server, {1: [f"post of {name}"]})
            body = script.replace("OTHER", elsewhere.url).replace(
                "UDP", str(quiet.getsockname()[1])
            )
            server.says("/", f"<html><body><script>{body}</script></body></html>")
            server.says("/api/ask", "{}")
            station.site(name, f"{server.url}/", "board", OPTIONS)
        station.run("crawl", "--once", exits=1)
        assert elsewhere.requested_paths == []
        with pytest.raises(BlockingIOError):
            quiet.recv(1)
    rows = {
        row["site"]: row for row in map(json.loads, station.run("sites", "--json").splitlines())
    }
    assert {name: (rows[name]["state"], rows[name]["reason"]) for name in UNREAD} == {
        name: (state, reason) for name, (_, state, reason) in UNREAD.items()
    }
    assert {name: rows[name]["state"] for name in UNSEEN} == dict.fromkeys(UNSEEN, "ok")
    assert sorted(capture.body.decode() for capture in station.captures()) == sorted(
        f"post of {name}" for name in UNSEEN
    )
    paths = {
        name: {path.partition("?")[0] for path in server.requested_paths}
        for name, server in servers.items()
    }
    honest = {"/robots.txt", "/", "/app.js", "/t/1", "/api/t/1", "/api/ask"}
    assert {name: count - honest for name, count in paths.items()} == {
        name: set() for name in servers
    }


def test_board_filled_by_scripts_is_tried_and_its_file_enables_them(
    station: Station, server: Answers
) -> None:
    shape, content = (
        ScriptBoard(next(shape for shape in boards() if shape.preset == "phpbb")),
        Content(),
    )
    content.write(plan().first)
    serve(shape, content, server)
    words = ("--name", "filled", "--legal-basis", "test", "--owner", "test", "--allow-private")
    shown = station.run("sites", "try", server.url + shape.start, *words)
    assert "a browser renders it" in shown
    assert "it requests JSON at /filled/viewforum.php" in " ".join(shown.split())
    written = tomllib.loads((station.data / "sites.d" / "filled.toml").read_text(encoding="utf-8"))
    assert (written["platform"], written["script"]) == ("phpbb", True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_crawl_ends_its_browser_and_limits_its_memory(
    station: Station, server: Answers, number: signal.Signals
) -> None:
    server.says("/", "<html><body><script>for (;;) {}</script></body></html>")
    station.site("loops", f"{server.url}/", "board", OPTIONS)
    with station.start("crawl", metrics_ports__crawl="0") as process:
        until(
            lambda: any(b"--type=renderer" in command(pid) for pid in children(process.pid)),
            "a page is in a browser",
        )
        browsers = [pid for pid in children(process.pid) if command(pid).startswith(bytes(PROGRAM))]
        assert len(browsers) > 3
        assert {limit(pid) for pid in browsers} == {str(MEMORY_BYTES)}
        assert not {network(pid) for pid in browsers} & {network("self")}
        process.send_signal(number)
        until(lambda: not any(map(is_alive, browsers)), "no process of the browser is left")
        process.wait(60)


def command(pid: int) -> bytes:
    """Return the command line of a process, empty if it has ended."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return b""


def network(pid: int | str) -> Path:
    """Return the network namespace of a process."""
    return (Path("/proc") / str(pid) / "ns" / "net").readlink()


def limit(pid: int) -> str:
    """Return how many bytes of data a process may use."""
    lines = (Path("/proc") / str(pid) / "limits").read_text().splitlines()
    (maximum,) = [line.split()[3] for line in lines if line.startswith("Max data size")]
    return maximum


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving() as answers:
        yield answers
