"""Programs in processes of their own that need not import anything first: forked from one that has.

To start `ullage crawl` takes a second of a core, and hundreds of tests do; a fork takes a tenth of
that. The process is as one that was started: its arguments, environment, output and exit code are
its own, and it ends as the interpreter ends. What concerns the start itself (imports, the
supervisor, a signal while it begins) is tested on programs that are started.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

REQUEST_BYTES = 1 << 18
STAGES = (
    "ullage.cli",
    "crawlers.cli",
    "crawlers.fetching.scrapy_setup",
    "crawlers.scheduling.scheduler",
    "matcher.cli.match",
    "matcher.cli.watchlist",
    "alerts.cli.incidents",
    "alerts.cli.services",
    "alerts.service.process",
)


class WarmProcess:
    """Has imported `modules`; forks for each program that it is asked to run, one at a time."""

    def __init__(self, *modules: str) -> None:
        self._modules, self._lock = modules, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: socket.socket | None = None

    def run(
        self, module: str, words: Sequence[str], environment: Mapping[str, str], text: str = ""
    ) -> tuple[int, str, str]:
        """Run a module as a program that reads `text`; returns exit code (a signal's is
        negative), output and errors.
        """
        request = json.dumps([module, [*words], dict(environment), str(Path.cwd())]).encode()
        with self._lock, contextlib.ExitStack() as undo:
            peer = self._asked or self._start()
            source, out, err = (
                undo.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)
            )
            source.write(text)
            source.seek(0)
            undo.callback(self.close)  # whoever was cut short must not be taken for the next
            socket.send_fds(peer, [request], [source.fileno(), out.fileno(), err.fileno()])
            code = int(peer.recv(100))
            for file in (out, err):
                file.seek(0)
            texts = out.read(), err.read()
            undo.pop_all()
            for file in (source, out, err):
                file.close()
            return code, *texts

    def _start(self) -> socket.socket:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno()), *self._modules],
                cwd=Path(__file__).parents[1],
                # as the program has it; a fork would lack the threads
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._asked

    def close(self) -> None:
        """End it, and whatever it still runs."""
        if self._process and self._asked:
            self._asked.close()
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = self._asked = None


@functools.cache
def every_stage() -> WarmProcess:
    """Return the process of this run that has loaded what crawls, matches and alerts; it ends
    with the run.
    """
    process = WarmProcess(*STAGES)
    atexit.register(process.close)
    return process


def main(socket_number: str, *modules: str) -> None:
    """Fork for each request until nobody can ask any more."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(socket_number)) as peer:
        while True:
            request, files, _, _ = socket.recv_fds(peer, REQUEST_BYTES, 3)
            if not request:
                return
            if not (child := os.fork()):
                break
            for file in files:
                os.close(file)
            peer.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    become(*json.loads(request), files)


def become(
    module: str, words: list[str], environment: dict[str, str], folder: str, files: list[int]
) -> None:
    """Run the program in this process, which ends with it."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # as the environment says, and not as that of the first process
    os.chdir(folder)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
