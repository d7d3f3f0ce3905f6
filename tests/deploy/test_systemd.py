"""The units are what systemd takes, lock each role in, and leave it what it works with: each is
run under its restrictions.
"""

import contextlib
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo import security_team
from deploy.demo.drive import configuration, write_customers
from deploy.demo.people import people
from deploy.local.certificates import make_certificates
from deploy.local.server import free_ports
from deploy.local.webhook import receiving
from tests.crawlers.support import Answers, serving
from tests.deploy.units import PROGRAM, SERVICES, UNITS, Unit, need, start, unable
from ullage.runtime.supervisor import ROLES
from ullage.security.keys import SIGNERS

pytestmark = pytest.mark.deploy

THRESHOLD = 20
"""Tenths of what `systemd-analyze security` calls exposure."""
USERS = {"crawl": 61001, "match": 61002, "alert": 61003, "search": 61004}
CUSTOMERS = list(people(6, 77))
SITE = """\
platform = "raw_paste"
start = ["{url}/archive.html"]
category = "paste"
allow_private = true
verify_certificates = false
legal_basis = "synthetic people, on this machine"
owner = "a test"
"""


def instance(name: str) -> str:
    return name.replace("@.", "@matrix.")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the units as they would lie in /etc/systemd/system, with a program that exists."""
    folder = tmp_path_factory.mktemp("system")
    shutil.copytree(UNITS, folder, dirs_exist_ok=True)
    for path in folder.glob("*.service"):
        path.write_text(
            path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"), encoding="utf-8"
        )
    return folder


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_PAGER": ""}
    line = [need("systemd-analyze", "systemd"), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("name", [*SERVICES, "ullage.target"])
def test_systemd_accepts_the_unit(installed: Path, name: str) -> None:
    done = analyze(installed, "verify", str(installed / instance(name)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SERVICES)
def test_unit_is_restricted(installed: Path, name: str) -> None:
    done = analyze(
        installed, "security", "--offline=yes", f"--threshold={THRESHOLD}", instance(name)
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_unit_without_its_restrictions_is_detected(installed: Path, tmp_path: Path) -> None:
    shutil.copy(installed / "ullage-alert.service", tmp_path)
    assert (
        analyze(
            tmp_path,
            "security",
            "--offline=yes",
            f"--threshold={THRESHOLD}",
            "ullage-alert.service",
        ).returncode
        != 0
    )


def test_unknown_systemd_setting_is_detected(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "ullage-.service.d" / "wrong.conf").write_text(
        "[Service]\nProtectSytem=strict\n", encoding="utf-8"
    )
    assert (
        "ProtectSytem" in analyze(tmp_path, "verify", str(tmp_path / "ullage-alert.service")).stderr
    )


def test_users_and_folders_are_made_for_every_unit() -> None:
    users = (UNITS / "sysusers.d" / "ullage.conf").read_text(encoding="utf-8")
    folders = (UNITS / "tmpfiles.d" / "ullage.conf").read_text(encoding="utf-8")
    made = set(re.findall(r"^u (\S+)", users, re.MULTILINE))
    assert made == {Unit.read(name).last("User") for name in SERVICES}
    for name in SERVICES:
        unit = Unit.read(name)
        line = (
            f"d /var/lib/{unit.prefix} {unit.last('StateDirectoryMode')} {unit.last('User')}"
            f" {unit.last('Group')} -"
        )
        assert line in folders.splitlines()


def test_systemd_creates_the_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = UNITS / "sysusers.d" / "ullage.conf"
    subprocess.run(
        [need("systemd-sysusers", "systemd"), f"--root={tmp_path}", "-"],
        input=file.read_bytes(),
        check=True,
    )
    assert {Unit.read(name).last("User") for name in SERVICES} <= set(
        re.findall(
            r"^([\w-]+):", (tmp_path / "etc" / "passwd").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    group = re.search(
        r"^ullage-assess:.*:(\S+)$",
        (tmp_path / "etc" / "group").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert group is not None
    assert set(group[1].split(",")) == {"ullage-match", "ullage-search"}


def test_every_service_has_a_unit_and_its_signing_key() -> None:
    commands = {Unit.read(name).last("ExecStart").split()[3] for name in SERVICES}
    assert commands == {*ROLES, "intake", "collect"}
    handed = {name for service in SERVICES for name in Unit.read(service).credentials()}
    # which is no role: a person runs it
    assert {f"sign.{role}.key" for role in SIGNERS if role != "erase"} <= handed


@pytest.fixture
def data() -> Iterator[Path]:
    """Yield a data folder that other users can be given; pytest's is root's alone."""
    if os.geteuid():
        unable("running as other users needs root")
    folder = Path(tempfile.mkdtemp(prefix="ullage-units-", dir="/var/tmp"))
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o700)
    yield folder / "data"
    shutil.rmtree(folder)


def own(data: Path, role: str) -> int:
    """Hand the folder to the role's user, as if its part of it were its own."""
    user = USERS[role]
    for path in (data, *data.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    return user


def done(data: Path, role: str, *words: str) -> str:
    """Run a role to its end under its unit's restrictions, and return its log."""
    unit = Unit.read(f"ullage-{role}.service")
    with start(unit, own(data, role), data, list(words)) as child:
        out, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    return out + err


@pytest.fixture
def pastes(tmp_path: Path) -> Iterator[Answers]:
    """Two pastes of customers over TLS, one of them a zip."""
    made, files = make_certificates(), (tmp_path / "server.pem", tmp_path / "server.key")
    for file, content in zip(files, (made.certificate, made.key), strict=True):
        file.write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    rows = [f"{p.name},{p.phone},{p.resident_id},{p.card}\n" for p in CUSTOMERS]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rows.csv", "".join(rows[3:]))
    with serving(tls=tls) as answers:
        answers.says("/archive.html", '<a href="/first">1</a><a href="/second">2</a>')
        answers.says("/raw/first", "".join(rows[:3]), Content_Type="text/plain")
        answers.says("/raw/second", packed.getvalue(), Content_Type="application/zip")
        yield answers


def test_post_passes_through_all_units_under_their_restrictions(
    data: Path, pastes: Answers, tmp_path: Path
) -> None:
    """Over TLS, out of an archive, to a message and the desk: each role is a user of its own who
    may do what its unit says.
    """
    told = configuration("bank") + security_team.configuration("https://ullage.bank.example")
    (data / "ullage.toml").write_text(told, encoding="utf-8")
    done(data, "crawl", "init")
    (data / "sites.d" / "pastes.toml").write_text(SITE.format(url=pastes.url), encoding="utf-8")
    write_customers(customers := data / "customers.csv", CUSTOMERS)
    done(data, "match", "watchlist", "load", str(customers), "--tenant", "bank")
    customers.unlink()
    done(data, "crawl", "crawl", "--once")
    assert "/raw/second" in pastes.requested_paths
    done(data, "match", "match", "--once")
    with receiving() as team:
        key = security_team.introduce(data / "keys", team)
        done(data, "alert", "alert", "--once")
    listed = done(data, "alert", "incidents", "list", "--json")
    incidents = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
    assert sum(incident["customers"] for incident in incidents) == len(CUSTOMERS)
    assert team.received
    assert (
        list(security_team.faults(team.received, key, incidents, "https://ullage.bank.example"))
        == []
    )
    with serving_desk(data) as page:
        assert page("/readyz") == "ready\n"


@contextlib.contextmanager
def serving_desk(data: Path) -> Iterator[Callable[[str], str]]:
    """Run the desk under its unit's restrictions, and yield a function that asks it."""
    (port,) = free_ports(1)
    (data / "ullage.toml").write_text(configuration("bank", port), encoding="utf-8")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with start(Unit.read("ullage-search.service"), own(data, "search"), data, ["search"]) as child:
        assert child.stdout is not None
        assert "search page" in child.stdout.readline()  # it listens before it says so

        def page(path: str) -> str:
            with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return str(answer.read().decode())

        yield page
        child.terminate()
        child.communicate(timeout=60)


@pytest.mark.parametrize(
    ("role", "script", "refused"),
    [
        (
            "match",
            "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
            "Operation not permitted",
        ),
        (
            "match",
            "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
            "Permission denied",
        ),
        ("alert", "import os; os.chown('/var/tmp', 0, 0)", "Operation not permitted"),
        ("search", "open('/etc/shadow').read()", "Permission denied"),
    ],
)
def test_forbidden_operation_is_blocked_by_the_unit(
    data: Path, role: str, script: str, refused: str
) -> None:
    unit = Unit.read(f"ullage-{role}.service")
    with start(unit, own(data, role), data, [], program=[sys.executable, "-c", script]) as child:
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert refused in err


def test_keys_come_from_credentials(data: Path) -> None:
    """A role that has its key as a credential makes none of its own."""
    (data / "ullage.toml").write_text(configuration("bank"), encoding="utf-8")
    done(data, "crawl", "init")
    given = data.parent / "credentials"
    given.mkdir()
    (data / "keys" / "frontier.key").rename(given / "frontier.key")
    unit, user = Unit.read("ullage-crawl.service"), own(data, "crawl")
    os.chown(given / "frontier.key", user, user)
    assert "frontier.key" in unit.credentials()
    with start(unit, user, data, ["sites"], credentials=given) as child:
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert not (data / "keys" / "frontier.key").exists()
    with start(unit, user, data, ["sites"]) as child:
        _, err = child.communicate(timeout=60)
    assert "frontier.key" in err
