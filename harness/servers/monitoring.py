"""Starts Prometheus and Alertmanager on free loopback ports, and ends them.

Both are Debian packages.

Each is a context: ready when it is entered, ended by its own pid when it is left, and killed by the
kernel if this process dies. Their data lie in the work folder.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from deploy.local.server import HOST, free_ports, running
from ullage.errors import UnavailableError

LOG = "server.log"


def program(name: str) -> str:
    """Return the path of a program; UnavailableError says what to install."""
    path = shutil.which(name)
    if path is None:
        raise UnavailableError(
            f"{name} is not there: apt install prometheus prometheus-alertmanager"
        )
    return path


def prometheus(work: Path, configuration: Path) -> AbstractContextManager[str]:
    """Run Prometheus on a configuration file; yields its address, such as
    `http://127.0.0.1:41234`.
    """
    return _start(
        "Prometheus", "prometheus", work, configuration, f"--storage.tsdb.path={work / 'tsdb'}"
    )


def alertmanager(work: Path, configuration: Path) -> AbstractContextManager[str]:
    """Run one Alertmanager, without peers, on a configuration file; yields its address."""
    words = f"--storage.path={work / 'data'}", "--cluster.listen-address="
    return _start("Alertmanager", "prometheus-alertmanager", work, configuration, *words)


@contextlib.contextmanager
def _start(name: str, binary: str, work: Path, configuration: Path, *more: str) -> Iterator[str]:
    work.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    common = (
        f"--config.file={configuration}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    )
    with running(name, [program(binary), *common, *more], work / LOG, {}, port):
        yield f"http://{HOST}:{port}"
