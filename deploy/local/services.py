"""Run Apache Kafka and Elasticsearch on loopback after the shell that started them has ended.

    python -m deploy.local.services start|stop [FOLDER]      (make services, make services-stop)

The other modules of this package tie a server to the process that started it, so that nothing
is left behind. Here that process is a holder in a session of its own, which only owns both
servers and ends them on SIGTERM. Data, logs and passwords are in FOLDER, and a later start
continues with them; ports and passwords are new each time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from alerts.store import open_store
from alerts.store.elasticsearch import ElasticsearchStore
from deploy.local import kafka
from deploy.local.elasticsearch import ADMIN, Server, elasticsearch, fetch, find_java
from deploy.local.server import HOST
from ullage.errors import UllageError, UnavailableError
from ullage.files.atomic_write import take_lock, wait_for_lock

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".demo" / "services"
ELASTICSEARCH = "9.5.4"
VERSIONS = f"Apache Kafka {kafka.VERSION} and Elasticsearch {ELASTICSEARCH}"
PREFIX = "ullage-"
OLDEST_JAVA = 17
END_SECONDS = 60.0
LOCK, STATE, LOG = "holder.lock", "services.json", "holder.log"
READY = "ready"
INSTALL = (
    "install Maven (mvn) and a JDK of version 21 or newer; without them ullage runs on its own bus"
    " and store, the default"
)


@dataclass(frozen=True, slots=True)
class Services:
    """The two running servers.

    `processes` are the pids that the holder watches; `kept` is whether the data outlives them.
    """

    folder: Path
    kafka_port: int
    elasticsearch_port: int
    processes: tuple[int, ...]
    kept: bool

    @property
    def keys(self) -> Path:
        """The folder that holds the store's password, as `ullage` reads it."""
        return self.folder / "keys"

    @property
    def admin(self) -> Path:
        """The same for the administrator, who may create and delete indexes."""
        return self.folder / "admin"

    @property
    def cafile(self) -> Path:
        """The certificate of the authority that signed Elasticsearch's certificate."""
        return self.folder / "elasticsearch" / "ca.crt"

    def bus_url(self, prefix: str = "") -> str:
        """Return the value of `bus.url` for topics with this prefix."""
        return f"kafka://{HOST}:{self.kafka_port}?create=1{f'&prefix={prefix}' if prefix else ''}"

    def store_url(self, prefix: str = PREFIX) -> str:
        """Return the value of `store.url` for indexes with this prefix.

        It must begin with `ullage-`.
        """
        query = f"prefix={prefix}&cafile={quote(str(self.cafile))}"
        return f"elasticsearch://{HOST}:{self.elasticsearch_port}?{query}"

    def configuration(self, bus_prefix: str = "", store_prefix: str = PREFIX) -> str:
        """Return the tables of `ullage.toml` that connect to these servers."""
        bus, store = json.dumps(self.bus_url(bus_prefix)), json.dumps(self.store_url(store_prefix))
        return f"[bus]\nurl = {bus}\n\n[store]\nurl = {store}\n"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Services]:
    """Run both servers for the length of the block, on the data in `folder`.

    Indexes, templates and password files are created. UnavailableError when a server does not
    start. The kernel ends the servers with the *thread* that started them.
    """
    folder = folder.resolve()
    for part in (folder, folder / "elasticsearch"):
        part.mkdir(parents=True, exist_ok=True)
        part.chmod(0o755)  # root runs Elasticsearch as the user nobody, who needs access
    with (
        kafka.broker(folder / "kafka") as broker,
        elasticsearch(folder / "elasticsearch", ELASTICSEARCH) as server,
    ):
        assert server.process is not None
        is_kept = server.home.is_relative_to(folder)
        port = int(broker.url.rpartition(":")[2])
        services = Services(folder, port, server.port, (broker.pid, server.process.pid), is_kept)
        _write_passwords(services, server)
        create_indexes(services, PREFIX)
        yield services


def create_indexes(services: Services, prefix: str) -> None:
    """Create the store's templates and indexes under `prefix`.

    In operation the team that owns the cluster does this.
    """
    store = open_store(services.store_url(prefix), services.folder, services.admin)
    assert isinstance(store, ElasticsearchStore)
    with contextlib.closing(store):
        store.create_templates()


def _write_passwords(services: Services, server: Server) -> None:
    write_secret(services.keys / "store.password", server.password)
    write_secret(services.admin / "store.password", server.admin_password)
    write_secret(services.admin / "store.user", ADMIN)


def write_secret(path: Path, text: str) -> None:
    """Write a file with one line that only this user may read.

    The text gets a line feed. An existing file is overwritten, and a missing folder is created with
    mode 0700.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(
        path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        os.fchmod(file.fileno(), 0o600)  # an existing file may have another mode
        file.write(text + "\n")


def find(folder: Path = FOLDER) -> Services | None:
    """Return the services that a holder runs on `folder`; None unless they are ready."""
    folder = folder.resolve()
    if holder(folder) is None:
        return None
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return Services(**{**state, "folder": folder, "processes": tuple(state["processes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def holder(folder: Path) -> int | None:
    """Return the pid of the live holder of `folder`.

    None where there is none, or where the pid now belongs to another program.
    """
    try:
        pid = int((folder / LOCK).read_text(encoding="ascii"))
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if words[1:5] == [word.encode() for word in _words(folder)[1:]] else None


def _words(folder: Path) -> list[str]:
    return [sys.executable, "-m", "deploy.local.services", "hold", str(folder)]


def start(folder: Path) -> Services:
    """Start both servers in the background, and return when both answer.

    Servers that already run are left alone. Raises UnavailableError if they end at once.
    """
    folder = folder.resolve()
    with _one_at_a_time(folder):
        if addresses := find(folder):
            _say(f"{VERSIONS} run already (process {holder(folder)}).")
            return addresses
        require_tools()
        _say(f"Starting {VERSIONS}; the first time Maven fetches them. Data and logs: {folder}")
        kafka.ensure_libraries()
        fetch(ELASTICSEARCH)
        _spawn(folder)
        if (addresses := find(folder)) is None:
            raise UnavailableError(
                f"the services ended as soon as they were ready: see {folder / LOG}"
            )
        return addresses


def _spawn(folder: Path) -> None:
    """Start the holder, and wait for the one word that it prints.

    Raises UnavailableError if it ends before or prints another.
    """
    with (folder / LOG).open("ab") as output:
        process = subprocess.Popen(
            _words(folder),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdout is not None
    line = ""
    try:
        with process.stdout as answer:
            line = answer.readline().decode("utf-8", "replace").strip()
    finally:
        if line != READY:  # it failed, or this process was interrupted
            process.terminate()
            process.wait()
    if line != READY:
        raise UnavailableError(
            line or f"the services ended before they were ready: see {folder / LOG}"
        )


def require_tools() -> None:
    """Raise UnavailableError unless Maven and suitable JDKs are installed.

    It names what to install, and how to do without.
    """
    if shutil.which("mvn") is None:
        raise UnavailableError(f"there is no Maven: {INSTALL}")
    if _java_on_path() < OLDEST_JAVA:
        raise UnavailableError(
            f"there is no `java` of version {OLDEST_JAVA} or newer, which Kafka needs: {INSTALL}"
        )
    try:
        find_java()
    except UnavailableError:
        raise UnavailableError(
            f"there is no JDK of version 21 or newer, which Elasticsearch needs: {INSTALL}"
        ) from None


def _java_on_path() -> int:
    """Return the major version of the `java` on the PATH; 0 without one."""
    java = shutil.which("java")
    if java is None:
        return 0
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', output)
    return int(match[1]) if match else 0


def stop(folder: Path) -> bool:
    """End the holder of `folder` and with it both servers; return False where none runs.

    This returns when all of them have ended. Raises UnavailableError if the holder belongs to
    another user.
    """
    folder = folder.resolve()
    with _one_at_a_time(folder), contextlib.ExitStack() as stack:
        pid = holder(folder)
        if pid is None:
            return False
        try:
            handle = os.pidfd_open(pid)
            stack.callback(os.close, handle)
            # check again, now that the handle cannot refer to another process
            if holder(folder) != pid:
                return False
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not select.select([handle], [], [], END_SECONDS)[0]:
                # the kernel ends its servers with it
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [])
        except ProcessLookupError:
            return False
        except PermissionError:
            raise UnavailableError(
                f"process {pid} belongs to another user: stop the services as that user"
            ) from None
    return True


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for other shells that start or stop the services of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with wait_for_lock(folder / "turn.lock"):
        yield


def _hold(folder: Path) -> int:
    """Own both servers until a signal arrives or one of them ends; return the exit code.

    Prints one line: `ready`, or the error.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(os.close, take_lock(folder / LOCK, "the folder of the services is held"))
            services = stack.enter_context(running(folder))
            _write_state(services)
            stack.callback((folder / STATE).unlink, missing_ok=True)
        except (UllageError, OSError) as error:
            sys.stdout.write(f"{error}\n")
            return 1
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads the pipe from here on
        watched = [os.pidfd_open(pid) for pid in services.processes]
        select.select(watched, [], [])
        sys.stderr.write(
            "a server ended by itself, so the other is ended too: see kafka/kafka.log,"
            " elasticsearch/elasticsearch.log\n"
        )
    return 1


def _leave(_number: int, _frame: object) -> NoReturn:
    """Exit on a signal; further signals must not interrupt the cleanup."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def _write_state(services: Services) -> None:
    part = services.folder / f"{STATE}.part"
    part.write_text(
        json.dumps({**asdict(services), "folder": str(services.folder)}), encoding="utf-8"
    )
    part.rename(services.folder / STATE)


def _say(text: str) -> None:
    """Print a message for people; standard output is for lines that go into `ullage.toml`."""
    sys.stderr.write(text + "\n")


def _tell(services: Services) -> None:
    _say(
        "They run until `make services-stop`. For DIR/ullage.toml, where DIR is your data folder:\n"
    )
    password = services.keys / "store.password"
    sys.stdout.write(
        f"{services.configuration()}# once, in a shell: install -m 600 {password} DIR/keys/\n"
    )
    if not services.kept:
        _say(
            "\nElasticsearch's data end with this run: the user nobody, as whom root runs it,"
            " cannot reach that folder."
        )


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; see the module.

    The exit code is 1 after a failure, with one line about it on standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.services", description="Kafka and Elasticsearch on loopback."
    )
    parser.add_argument("what", choices=("start", "stop", "hold"))
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    arguments = parser.parse_args(words)
    try:
        if arguments.what == "hold":
            return _hold(arguments.folder)
        if arguments.what == "start":
            _tell(start(arguments.folder))
        elif stop(arguments.folder):
            _say(f"Kafka and Elasticsearch are ended; their data stay in {arguments.folder}")
        else:
            _say("No services run.")
    except (UllageError, OSError) as error:
        _say(f"services: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; nothing was left running")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
