"""Start a real Elasticsearch node on loopback, for tests and for trying the distributed store.

It is the core with security, from Maven Central (`integ-test-zip`): TLS, basic auth, templates,
bulk, PIT and search as in any Elasticsearch, without the optional modules (no scripts, no
delete-by-query, not even `GET /`). Two accounts are created: one with exactly the rights that
the store needs on `ullage-*`, and an administrator. Elasticsearch refuses to run as root, so root
starts it as the user nobody, in a folder that nobody can reach. The log is kept as
`elasticsearch.log` in the work folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local.certificates import Authority, Certificates
from deploy.local.server import HOST, free_ports
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

CACHE = Path(__file__).parents[2] / ".demo" / "servers"
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
JVMS = Path("/usr/lib/jvm")
OLDEST_JAVA = 21
NOBODY = 65534
READY_SECONDS, LOOK_SECONDS, TOOL_SECONDS = 600.0, 0.2, 300.0
USER, ADMIN = "ullage", "admin"
INSTALL = (
    "install Maven (mvn) and a JDK of version 21 or newer, or run without real servers: pytest -m"
    " 'not servers'"
)

SETTINGS = """\
cluster.name: ullage
node.name: local
discovery.type: single-node
path.data: {home}/data
path.logs: {home}/logs
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: {home}/config/server.key
xpack.security.http.ssl.certificate: {home}/config/server.crt
xpack.security.transport.ssl.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
resource.reload.interval.high: 1s
"""
ROLES = """\
ullage_store:
  indices:
    - names: ["ullage-*"]
      privileges: ["read", "view_index_metadata", "index", "delete", "maintenance"]
"""
CERTIFIED = """\
xpack.security.http.ssl.client_authentication: required
xpack.security.http.ssl.certificate_authorities: {home}/config/ca.crt
xpack.license.self_generated.type: trial
xpack.security.authc.realms.file.file1.order: 0
xpack.security.authc.realms.pki.pki1.order: 1
"""
"""Settings that require a certificate from every client.

The user `CERTIFIED_USER` then needs no password; this feature requires a licence.
"""
CERTIFIED_USER = "ullage-certified"
JVM_OPTIONS = "-Xms{heap}m\n-Xmx{heap}m\n-XX:+UseSerialGC\n-Djava.io.tmpdir=${{ES_TMPDIR}}\n"
HEAP = 512
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %marker%m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass
class Server:
    """A node with its folder.

    `password` is the store's and `admin_password` the administrator's; both are made for this run.
    """

    distribution: Path
    java: Path
    work: Path
    home: Path
    port: int
    settings: str = ""
    """Further lines for elasticsearch.yml."""
    authority: Authority = field(default_factory=Authority)
    """Signs the certificate of the node, and those of its clients if `certified` requires them."""
    certified: bool = False
    heap: int = HEAP
    """Java's memory in MiB."""
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    admin_password: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def cafile(self) -> Path:
        """The certificate of the authority that a client must trust."""
        return self.work / "ca.crt"

    def url(self, prefix: str) -> str:
        """Return the store's URL with this index prefix."""
        return f"elasticsearch://{HOST}:{self.port}?prefix={prefix}&cafile={self.cafile}"

    def client(self) -> Elasticsearch:
        """Return a client that is logged in as the administrator."""
        from elasticsearch import Elasticsearch  # noqa: PLC0415  most runs of tests start no node

        options: dict[str, Any] = (
            {"client_cert": str(self.work / "admin.pem")} if self.certified else {}
        )
        options |= {
            "ca_certs": str(self.cafile),
            "basic_auth": (ADMIN, self.admin_password),
            "max_retries": 0,
        }
        return Elasticsearch(f"https://{HOST}:{self.port}", **options)

    def show(self, made: Certificates) -> None:
        """Use another TLS certificate from now on.

        A running node notices it within seconds.
        """
        for name, content in (("server.crt", made.certificate), ("server.key", made.key)):
            path = self.home / "config" / name
            path.write_bytes(content)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)

    def start(self) -> None:
        """Start the node on its existing data; return when it answers."""
        with (self.work / "elasticsearch.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.child", str(os.getpid()),
                *self._words("elasticsearch", [])],
                env={**os.environ, **self._environment()}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._wait()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill launcher and node at once, like a machine failure.

        `start` continues with the same data.
        """
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, how)
            self.process.wait()

    def freeze(self) -> None:
        """Stop answering without closing connections, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self._signal(signal.SIGCONT)

    def prepare(self) -> None:
        """Write configuration, certificates and accounts into the node's home.

        As root, all of it is given to the user nobody. The passwords are on a command line for a
        moment. Raises UnavailableError if a tool of Elasticsearch fails.
        """
        config = self.home / "config"
        for folder in (
            config / "jvm.options.d",
            self.home / "data",
            self.home / "logs",
            self.home / "tmp",
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificate = self.authority.server()
        for path in (self.cafile, config / "ca.crt"):
            path.write_bytes(certificate.authority)
        self.show(certificate)
        settings = (
            SETTINGS.format(home=self.home, port=self.port, transport=free_ports(1)[0])
            + self.settings
        )
        if self.certified:
            settings += CERTIFIED.format(home=self.home)
            (self.work / "admin.pem").touch(mode=0o600)
            (self.work / "admin.pem").write_bytes(self.authority.client(ADMIN).pair)
        texts = {"elasticsearch.yml": settings, "roles.yml": ROLES, "log4j2.properties": LOGGING}
        texts["jvm.options"] = JVM_OPTIONS.format(heap=self.heap)
        mapping = f'ullage_store: ["CN={CERTIFIED_USER}"]\n' if self.certified else ""
        texts |= {"users": "", "users_roles": "", "role_mapping.yml": mapping}
        for name, text in texts.items():
            (config / name).write_text(text, encoding="ascii")
        if os.geteuid() == 0:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        # The passwords are visible on a command line for a moment. They are valid for this run and
        # this loopback port only.
        self._tool(
            "elasticsearch-users", ["useradd", USER, "-p", self.password, "-r", "ullage_store"]
        )
        self._tool(
            "elasticsearch-users", ["useradd", ADMIN, "-p", self.admin_password, "-r", "superuser"]
        )

    def add_user(self, name: str, password: str, rights: Mapping[str, Any]) -> None:
        """Create the user `name` with `rights`, the body of a role.

        The running node reads its files again within seconds. Files are used because this
        distribution lacks the modules that store roles in an index.
        """
        with (self.home / "config" / "roles.yml").open("a", encoding="utf-8") as roles:
            roles.write(f"{name}: {json.dumps(rights)}\n")
        self._tool("elasticsearch-users", ["useradd", name, "-p", password, "-r", name])

    def _signal(self, which: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, which)

    def _words(self, program: str, rest: Sequence[str]) -> list[str]:
        words = [str(self.distribution / "bin" / program), *rest]
        if os.geteuid():
            return words
        # A process that changes its user is no longer tied to its parent by the kernel, so setpriv
        # requests that again.
        user = [
            "--reuid",
            str(NOBODY),
            "--regid",
            str(NOBODY),
            "--clear-groups",
            "--pdeathsig",
            "KILL",
        ]
        return [_program("setpriv"), *user, *words]

    def _environment(self) -> dict[str, str]:
        temporary = str(self.home / "tmp")
        return {
            "ES_JAVA_HOME": str(self.java),
            "ES_PATH_CONF": str(self.home / "config"),
            "ES_TMPDIR": temporary,
            "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={temporary}",
            "HOME": str(self.home),
        }

    def _tool(self, program: str, rest: Sequence[str]) -> None:
        process = subprocess.run(
            self._words(program, rest), env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=TOOL_SECONDS, check=False,
        )  # fmt: skip
        if process.returncode:
            raise UnavailableError(
                f"{program} failed:"
                f" {(process.stderr or process.stdout).strip().rpartition(chr(10))[2]}"
            )

    def _wait(self) -> None:
        """Return when the node answers its administrator.

        Raises UnavailableError if it ends, or does not answer within READY_SECONDS (10 min).
        """
        from elasticsearch import ApiError, TransportError  # noqa: PLC0415  as in `client`

        assert self.process is not None
        deadline = time.monotonic() + READY_SECONDS
        with contextlib.closing(self.client()) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(ApiError, TransportError):
                    client.cluster.health(wait_for_status="yellow", timeout="1s")
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self.process.wait(LOOK_SECONDS)
                    raise UnavailableError(
                        f"Elasticsearch ended with {code}: see {self.work / 'elasticsearch.log'}"
                    )
        raise UnavailableError(
            f"Elasticsearch was not ready in {READY_SECONDS:.0f} s: see"
            f" {self.work / 'elasticsearch.log'}"
        )


@contextlib.contextmanager
def elasticsearch(
    work: Path,
    version: str = "9.5.4",
    cache: Path = CACHE,
    settings: str = "",
    *,
    certified: Authority | None = None,
    heap: int = HEAP,
) -> Iterator[Server]:
    """Run a node of `version` with its logs in `work`.

    `settings` are further lines of elasticsearch.yml; `heap` is Java's memory in MiB. With an
    authority (`certified`) the node's certificate is signed by it, and each client needs one too.
    UnavailableError names what to install.
    """
    java, distribution = find_java(), fetch(version, cache)
    work.mkdir(parents=True, exist_ok=True)
    with _home(work) as home:
        server = Server(
            distribution,
            java,
            work,
            home,
            free_ports(1)[0],
            settings,
            certified or Authority(),
            certified is not None,
            heap,
        )
        server.prepare()
        try:
            server.start()
            yield server
        finally:
            server.thaw()
            server.kill()


def find_java(folders: Sequence[Path] | None = None) -> Path:
    """Return the oldest JDK of at least version 21, from JAVA_HOME or the system's folder.

    Raises UnavailableError if there is none.
    """
    if folders is None:
        named = [
            Path(os.environ[name]) for name in ("ES_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)
        ]
        folders = [*named, *(sorted(JVMS.iterdir()) if JVMS.is_dir() else [])]
    runtimes = [(_java_version(folder), folder) for folder in folders]
    fitting = sorted((version, folder) for version, folder in runtimes if version >= OLDEST_JAVA)
    if not fitting:
        raise UnavailableError(f"no Java for Elasticsearch: {INSTALL}")
    return fitting[0][1]


def _java_version(folder: Path) -> int:
    """Return the major version that the JDK in `folder` states; 0 for no JDK."""
    release = folder / "release"
    if not (folder / "bin" / "java").exists() or not release.is_file():
        return 0
    for line in release.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name == "JAVA_VERSION":
            major = value.strip('"').partition(".")[0].partition("-")[0].partition("+")[0]
            return int(major) if major.isdecimal() else 0
    return 0


def fetch(version: str, cache: Path = CACHE) -> Path:
    """Return the unpacked distribution of `version`, which Maven fetches on first use."""
    target = cache.resolve() / f"elasticsearch-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for part in (cache.parent, cache):
            # the user nobody, as whom root runs it, needs access whatever the umask was
            part.chmod(part.stat().st_mode | 0o011)
    with wait_for_lock(cache / "elasticsearch.lock"):
        if not (target / "fetched").is_file():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _unpack(_download(version, Path(folder)), target)
    return target


def _download(version: str, folder: Path) -> Path:
    artifact = ARTIFACT.format(version=version)
    words = [
        _program("mvn"),
        "-q",
        "-B",
        "dependency:copy",
        f"-Dartifact={artifact}",
        f"-DoutputDirectory={folder}",
    ]
    process = subprocess.run(
        words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    archive = folder / f"elasticsearch-{version}.zip"
    if process.returncode or not archive.is_file():
        raise UnavailableError(
            f"Maven cannot fetch {artifact}: run `{' '.join(words[1:])}` by hand to see why"
        )
    return archive


def _unpack(archive: Path, target: Path) -> None:
    """Unpack with permissions for everybody to read: zip files of Maven carry none."""
    shutil.rmtree(target, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(target.parent)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    target.chmod(0o755)
    (target / "fetched").touch()


def _program(name: str) -> str:
    if not (path := shutil.which(name)):
        raise UnavailableError(f"no {name} for Elasticsearch: {INSTALL}")
    return path


@contextlib.contextmanager
def _home(work: Path) -> Iterator[Path]:
    """Yield the node's folder, in `work`.

    If root runs it and the user nobody cannot reach `work`, it is a temporary folder elsewhere.
    """
    if os.geteuid() or all(
        folder.stat().st_mode & 0o001 for folder in (work, *work.resolve().parents)
    ):
        yield work.resolve() / "node"
    else:
        with tempfile.TemporaryDirectory(
            prefix="ullage-elasticsearch-", ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
