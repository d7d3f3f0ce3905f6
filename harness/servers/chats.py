"""Starts servers of chats and mail on free loopback ports, and ends them: Synapse (from PyPI),
Prosody and Dovecot (Debian's).
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import hmac
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.server import HOST, free_ports, running
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

SYNAPSE = Path(__file__).with_name("requirements-synapse.txt")
LIMITS = ("rc_message", "rc_registration", "rc_joins", "rc_login")
PROSODY_SETTINGS = """\
daemonize = false
pidfile = "{work}/prosody.pid"
data_path = "{work}/data"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ "roster", "saslauth", "disco", "ping" }}
modules_disabled = {{ "s2s", "tls", "http" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = "internal"
log = {{ warn = "*console" }}
limits = {{}}
VirtualHost "localhost"
Component "rooms.localhost" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_log_by_default = true
    restrict_room_creation = false
"""
DOVECOT_ALONE = """\
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
"""
DOVECOT_AS_ROOT = """\
service auth {
  user = root
}
"""
DOVECOT_SETTINGS = """\
protocols = imap
listen = 127.0.0.1
base_dir = {work}/run
state_dir = {work}/state
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:{mail}/%u
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {work}/users/%u
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A running Synapse."""

    url: str
    registration: str
    """The secret by which users are made."""

    def ask(
        self, method: str, path: str, token: str = "", body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send one request and return the JSON of the response.

        Raises what urllib raises for one that is refused.
        """
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            reply: dict[str, Any] = json.loads(answer.read())
        return reply

    def user(self, name: str) -> tuple[str, str]:
        """Make a user; its id and an access token."""
        path = "/_synapse/admin/v1/register"
        nonce, password = self.ask("GET", path)["nonce"], secrets.token_hex(8)
        words = b"\0".join(word.encode() for word in (nonce, name, password, "notadmin"))
        mac = hmac.new(self.registration.encode(), words, hashlib.sha1).hexdigest()
        reply = self.ask(
            "POST",
            path,
            body={
                "nonce": nonce,
                "username": name,
                "password": password,
                "admin": False,
                "mac": mac,
            },
        )
        return reply["user_id"], reply["access_token"]


def ensure_synapse(folder: Path) -> Path:
    """Install Synapse in `folder` on first use.

    Return the Python of its virtual environment.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    requirements, stamp = SYNAPSE.read_text(encoding="ascii"), folder / "installed.txt"
    with wait_for_lock(folder.with_name(folder.name + ".lock")):
        if not stamp.is_file() or stamp.read_text(encoding="ascii") != requirements:
            pip = [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            for words in (
                [sys.executable, "-m", "venv", "--clear", str(folder)],
                [*pip, "--requirement", str(SYNAPSE)],
            ):
                result = subprocess.run(words, capture_output=True, text=True, check=False)
                if result.returncode:
                    reason = result.stderr.strip().rpartition("\n")[2]
                    raise UnavailableError(f"Synapse cannot be installed: {reason}")
            stamp.write_text(requirements, encoding="ascii")
    return folder.resolve() / "bin" / "python"


@contextlib.contextmanager
def synapse(python: Path, work: Path) -> Iterator[Matrix]:
    """Run Synapse with its database in `work`, made on first use, without federation and without
    limits of pace.
    """
    work.mkdir(parents=True, exist_ok=True)
    settings, (port,) = work / "hs.json", free_ports(1)
    config: dict[str, Any] = {
        "server_name": "localhost",
        "pid_file": str(work / "hs.pid"),
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": [HOST],
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": str(work / "hs.db")}},
        "media_store_path": str(work / "media"),
        "signing_key_path": str(work / "signing.key"),
        "registration_shared_secret": secrets.token_hex(16),
        "macaroon_secret_key": secrets.token_hex(16),
        "report_stats": False,
        "suppress_key_server_warning": True,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "presence": {"enabled": False},
        "enable_metrics": False,
    }
    free = {"per_second": 100_000, "burst_count": 100_000}
    config |= dict.fromkeys(LIMITS[:2], free)
    config["rc_joins"] = config["rc_login"] = {
        "local": free,
        "remote": free,
        "address": free,
        "account": free,
    }
    config["rc_login"]["failed_attempts"] = free
    if settings.exists():
        before = json.loads(settings.read_text())
        config |= {
            name: before[name] for name in ("registration_shared_secret", "macaroon_secret_key")
        }
    settings.write_text(json.dumps(config))
    words = [str(python), "-m", "synapse.app.homeserver", "--config-path", str(settings)]
    subprocess.run([*words, "--generate-keys"], cwd=work, capture_output=True, check=True)
    with running("Synapse", words, work / "server.log", {}, port):
        yield Matrix(f"http://{HOST}:{port}", config["registration_shared_secret"])


@dataclass(frozen=True, slots=True)
class Xmpp:
    """A running Prosody."""

    port: int
    settings: Path

    def user(self, name: str) -> tuple[str, str]:
        """Make a user; its address and password."""
        password = secrets.token_hex(8)
        _prosodyctl(self.settings, "register", name, "localhost", password)
        return f"{name}@localhost", password

    def remove(self, name: str) -> None:
        """Take a user away."""
        _prosodyctl(self.settings, "deluser", f"{name}@localhost")


def _prosodyctl(settings: Path, *words: str) -> None:
    subprocess.run(
        ["prosodyctl", "--config", str(settings), *words], capture_output=True, check=True
    )


@contextlib.contextmanager
def prosody(work: Path, port: int = 0) -> Iterator[Xmpp]:
    """Run Prosody with rooms that have an archive, its data in `work`.

    UnavailableError where it is not installed.
    """
    program = shutil.which("prosody")
    if not program:
        raise UnavailableError("Prosody is not installed: apt install prosody")
    work.mkdir(parents=True, exist_ok=True)
    (work / "data").mkdir(exist_ok=True)
    settings, port = work / "prosody.cfg.lua", port or free_ports(1)[0]
    settings.write_text(PROSODY_SETTINGS.format(work=work, port=port))
    words = [program, "--config", str(settings)]
    if os.geteuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam("prosody")
        for path in (work, work / "data", settings):
            os.chown(path, user.pw_uid, user.pw_gid)
        words = ["/usr/sbin/runuser", "-u", "prosody", "--", *words]
    with running("Prosody", words, work / "server.log", {}, port):
        yield Xmpp(port, settings)


@dataclass(frozen=True, slots=True)
class Imap:
    """A running Dovecot."""

    port: int
    users: Path
    """A file for each user."""

    def user(self, name: str) -> str:
        """Make a user; its password."""
        password = secrets.token_hex(8)
        (self.users / name).write_text(f"{name}:{{PLAIN}}{password}\n", encoding="ascii")
        return password

    def remove(self, name: str) -> None:
        """Take a user away."""
        (self.users / name).unlink()


@contextlib.contextmanager
def dovecot(work: Path) -> Iterator[Imap]:
    """Run Dovecot with mailboxes in `work`. UnavailableError where it is not installed."""
    program = shutil.which("dovecot")
    if not program or not Path("/usr/lib/dovecot/imap").exists():
        raise UnavailableError("Dovecot is not installed: apt install dovecot-imapd")
    users, settings, (port,) = work / "users", work / "dovecot.conf", free_ports(1)
    users.mkdir(parents=True, exist_ok=True)
    is_root = os.geteuid() == 0
    owner = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
    people = (
        DOVECOT_AS_ROOT
        if is_root
        else DOVECOT_ALONE.format(user=owner.pw_name, group=grp.getgrgid(owner.pw_gid).gr_name)
    )
    # its mail processes are never root's, and may not enter `work`
    with tempfile.TemporaryDirectory(prefix="dovecot-") as mail:
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        parts = {"work": work, "mail": mail, "port": port, "uid": owner.pw_uid, "gid": owner.pw_gid}
        settings.write_text(people + DOVECOT_SETTINGS.format(**parts))
        with running(
            "Dovecot", [program, "-F", "-c", str(settings)], work / "server.log", {}, port
        ):
            yield Imap(port, users)
