"""One queue of test files for all workers: the longest first, and files that mostly wait on workers
of their own.

A file is never split: its fixtures are set up once, on one worker. There are two workers more than
cores. These take the files that wait for processes, sites and servers, so that a core is busy while
they wait.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

WAITING_WORKERS = 2


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


class FileQueue(LoadFileScheduling):
    """Hands out files whole; see the settings `long_files` and `waiting_files` of
    pyproject.toml.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self._long: Sequence[str] = config.getini("long_files")
        self._waiting: Sequence[str] = config.getini("waiting_files")
        self._indexes: dict[WorkerController, dict[str, int]] = {}

    def _assign_work_unit(self, node: WorkerController) -> None:
        file = self.choose(list(self.workqueue), node.gateway.id)
        tests = self.workqueue.pop(file)
        self.assigned_work.setdefault(node, {})[file] = tests
        if node not in self._indexes:
            self._indexes[node] = {
                test: n for n, test in enumerate(self.registered_collections[node])
            }
        node.send_runtest_some(
            [self._indexes[node][test] for test, is_done in tests.items() if not is_done]
        )

    def choose(self, files: Sequence[str], worker: str) -> str:
        """Return which of these files a worker (`gw0`, `gw1`, …) takes next; `files` are in the
        order of their size.
        """
        takes_waiting = int(worker.removeprefix("gw")) >= count_cores()
        fitting = [
            file for file in files if file.startswith(tuple(self._waiting)) == takes_waiting
        ] or files
        return min(
            fitting,
            key=lambda file: self._long.index(file) if file in self._long else len(self._long),
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings of the queue."""
    parser.addini(
        "long_files", "test files that are begun first, the longest before the others", "linelist"
    )
    parser.addini("waiting_files", "folders and files whose tests mostly wait", "linelist")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileQueue:
    """Distribute tests by `FileQueue`."""
    return FileQueue(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of `-n auto`."""
    return count_cores() + WAITING_WORKERS
