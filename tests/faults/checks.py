"""Runs `ullage check` often: a process that has imported all that it needs forks one for each run.

A process of its own for each would spend nine tenths of its time in importing. The child runs
`ullage.cli.main`, as `python -m ullage` does, with its own arguments, environment, reactor and
output.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Self

from ullage.cli import main

ROOT = Path(__file__).parents[2]
LATER = (
    "ullage.log", "ullage.setup", "crawlers.platforms.board", "crawlers.trial.fetch",
    "crawlers.fetching.scrapy_setup",
    "crawlers.fetching.robots", "scrapy.core.downloader.handlers.http11",
)  # fmt: skip
"""What `check` imports when it comes to it and takes long; Twisted's reactor is not among it,
which each run needs for itself.
"""


class Checks:
    """The process that forks; a context manager."""

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.faults.checks"]
        # as `main` sets it; here numpy is imported before
        one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=one_thread,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(60) == 0

    def check(self, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """`ullage --data DATA check`, with these variables beside those of this process."""
        assert self._process.stdin
        assert self._process.stdout
        words = ["ullage", "--data", str(data), "check"]
        self._process.stdin.write(f"{json.dumps([words, environment])}\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(words, code, out, err)


def run(words: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    """Run a command, and return its exit code (minus a signal) and both outputs."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(words, environment, out, err)
        _, status = os.waitpid(child, 0)
        outputs = [(output.seek(0), output.read().decode())[1] for output in (out, err)]
    return os.waitstatus_to_exitcode(status), outputs[0], outputs[1]


def _become(words: list[str], environment: dict[str, str], out: IO[Any], err: IO[Any]) -> None:
    """Run the command to its end, in the child."""
    with Path(os.devnull).open("rb") as nothing:
        for file, number in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(file.fileno(), number)
    os.environ.update(environment)
    sys.argv = words
    main()


if __name__ == "__main__":
    from ullage import commands

    for name in LATER:
        importlib.import_module(name)
    for entry in importlib.metadata.entry_points(group=commands.CHECKS):
        entry.load()
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(run(*json.loads(line)))}\n")
        sys.stdout.flush()
