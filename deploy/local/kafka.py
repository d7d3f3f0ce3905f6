"""Start a real Apache Kafka broker on loopback, for tests and for trying the distributed bus.

It is one node that is broker and controller (KRaft), with the jars of Maven Central. Data and log
(`kafka.log`) stay in the work folder, so a broker that is started there again continues where the
last one ended; tests of faults need that. The kernel kills it if this process dies. Linux ties a
child to the *thread* that started it, so start it from a thread that lives on.

By default it is open to anybody on loopback. With a `Guard`, such as
`harness.servers.kafka_secured` makes, it has TLS, users and access rules.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from deploy.local.server import HOST, free_ports, wait_for_end, wait_until_ready
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

VERSION = "4.1.1"
CACHE = Path(__file__).parents[2] / ".demo" / "servers"
READY_SECONDS, LOOK_SECONDS, TOOL_SECONDS, END_SECONDS = 240.0, 0.1, 300.0, 15.0
INSTALL = (
    "install Maven (mvn) and a JDK of version 17 or newer, or run without real servers: pytest -m"
    " 'not servers'"
)
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
BROKER_JARS, TOOL_JARS = "kafka_2.13", "kafka-tools"
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ullage.local</groupId><artifactId>kafka</artifactId><version>{version}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
message.max.bytes=36700160
replica.fetch.max.bytes=36700160
"""
OPEN = """\
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
"""
LOGGING = """\
status=error
appender.file.type=Console
appender.file.name=file
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


class Guard(Protocol):
    """The access control of a broker."""

    def properties(self, host: str, port: int, controller: int, work: Path) -> str:
        """Return the broker's listeners, users and access rules.

        This is called one time, before the data is made, and may write files into `work`.
        """

    def format_words(self) -> list[str]:
        """Return further arguments of the tool that makes the data, such as the first users."""

    def java_options(self) -> list[str]:
        """Return further options for Java."""

    def trust(self) -> ssl.SSLContext | None:
        """Return how a client checks the broker's certificate; None for no TLS."""


class Broker:
    """One broker with its work folder.

    It keeps its ports over restarts, because its clients know it by them.
    """

    def __init__(self, libraries: Path, work: Path, guard: Guard | None = None) -> None:
        self._java = [
            shutil.which("java") or "java",
            "-Xmx512m",
            f"-Dlog4j2.configurationFile={work / 'log4j2.properties'}",
        ]
        self._java += [*(guard.java_options() if guard else ()), "-cp", f"{libraries}/*"]
        self.work = work
        self._guard = guard
        self._port, controller = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        work.mkdir(parents=True, exist_ok=True)
        text = PROPERTIES.format(host=HOST, controller=controller, data=work / "data")
        if guard is None:
            text += OPEN.format(host=HOST, port=self._port, controller=controller)
        else:
            text += guard.properties(HOST, self._port, controller, work)
        (work / "server.properties").touch(mode=0o600)  # a guard's properties hold passwords
        (work / "server.properties").write_text(text, encoding="utf-8")
        (work / "log4j2.properties").write_text(LOGGING, encoding="ascii")

    @property
    def url(self) -> str:
        """The broker's address as `bus.url` takes it."""
        return f"kafka://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The port on loopback to which clients connect."""
        return self._port

    @property
    def pid(self) -> int:
        """The broker's process id; 0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Run the broker on its existing data; return when it answers.

        Without data, the folder is formatted first. Raises UnavailableError if a tool fails, or the
        broker ends or does not answer in time.
        """
        properties = str(self.work / "server.properties")
        if not (self.work / "data" / "meta.properties").exists():
            cluster = (
                base64.urlsafe_b64encode(secrets.token_bytes(16))
                .rstrip(b"=")
                .decode()
                .replace("-", "A")
            )
            format_words = [
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                "-t",
                cluster,
                "-c",
                properties,
            ]
            run(
                [*self._java, *format_words, *(self._guard.format_words() if self._guard else ())],
                self.work,
            )
        with (self.work / "kafka.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.child", str(os.getpid()), *self._java,
                "kafka.Kafka", properties],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Shut the broker down in an orderly way, or by force if that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the broker and run it again on the same data and ports."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop answering without closing connections, until `thaw`."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        os.kill(self._running().pid, signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise UnavailableError("the Kafka broker does not run: start it first")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a frozen process reacts only to SIGKILL
        wait_for_end(process, END_SECONDS)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        trust = self._guard.trust() if self._guard else None
        log = self.work / "kafka.log"
        with contextlib.ExitStack() as undo:
            undo.callback(self.kill)
            wait_until_ready(
                process,
                lambda: _answers(self._port, trust),
                "Kafka",
                log,
                READY_SECONDS,
                LOOK_SECONDS,
            )
            undo.pop_all()


@contextlib.contextmanager
def kafka(work: Path) -> Iterator[str]:
    """Run a broker with its data in `work`; yield its address, as `kafka://127.0.0.1:41234`."""
    with broker(work) as running:
        yield running.url


@contextlib.contextmanager
def broker(work: Path, guard: Guard | None = None) -> Iterator[Broker]:
    """Run a broker with its data in `work`; yield an object that stops, freezes and restarts it.

    Without a `guard` it is open to anybody on loopback.
    """
    running = Broker(ensure_libraries(), work.resolve(), guard)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def ensure_libraries(artifact: str = BROKER_JARS) -> Path:
    """Return the folder of the jars of `artifact`, which Maven fetches on first use.

    They are fetched anew if the version has changed or fetching was interrupted. It is the
    broker's, or `TOOL_JARS` for the command-line tools. Raises UnavailableError if Maven or Java is
    not installed, or Maven fails.
    """
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        raise UnavailableError(f"Kafka needs {'Maven' if maven is None else 'a JDK'}: {INSTALL}")
    folder = CACHE / ("kafka" if artifact == BROKER_JARS else artifact)
    pom = POM.format(artifact=artifact, version=VERSION)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.xml"
    with wait_for_lock(folder / "lock"):
        if not stamp.is_file() or stamp.read_text(encoding="ascii") != pom:
            shutil.rmtree(folder / "lib", ignore_errors=True)
            (folder / "pom.xml").write_text(pom, encoding="ascii")
            words = [
                maven,
                "-q",
                "-B",
                "-f",
                str(folder / "pom.xml"),
                "dependency:copy-dependencies",
            ]
            run([*words, f"-DoutputDirectory={folder / 'lib'}"], folder)
            stamp.write_text(pom, encoding="ascii")
    return (folder / "lib").resolve()


def run(words: Sequence[str], folder: Path) -> str:
    """Run a tool to its end in `folder`, and return what it printed on standard output.

    Raises UnavailableError with its last line if it failed, or if it did not end within
    TOOL_SECONDS (300 s).
    """
    try:
        process = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"{Path(words[0]).name} did not end within {TOOL_SECONDS:.0f} s in {folder}: run it"
            " there by hand to see why"
        ) from None
    if process.returncode:
        last = (process.stderr.strip() or process.stdout.strip()).rpartition("\n")[2]
        raise UnavailableError(f"{Path(words[0]).name} failed for Kafka: {last}")
    return process.stdout


def _answers(port: int, trust: ssl.SSLContext | None) -> bool:
    """Return whether the broker answers an ApiVersions request within a second.

    An open port is not enough: it is open before the broker serves. With `trust`, it is asked over
    TLS.
    """
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((HOST, port), timeout=1.0))
            if trust is not None:
                connection = stack.enter_context(
                    trust.wrap_socket(connection, server_hostname=HOST)
                )
            connection.sendall(API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False
