"""A Kerberos realm of its own on loopback, for a Kafka that lets its users in by ticket: MIT's
server, all of it in one folder.

It needs `krb5kdc`, `kdb5_util` and `kadmin.local` (Debian: `krb5-kdc` and `krb5-admin-server`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.kafka import END_SECONDS, LOOK_SECONDS, READY_SECONDS, run
from deploy.local.server import HOST, free_ports, running
from ullage.errors import UnavailableError

REALM = "ULLAGE.TEST"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local")
INSTALL = "install Kerberos' own server (Debian: krb5-kdc and krb5-admin-server)"
CLIENT = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = {host}:{port}
}}
"""
SERVER = """\
[kdcdefaults]
kdc_listen = {host}:{port}
kdc_tcp_listen = {host}:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  max_life = 1h
}}
"""


@dataclass(frozen=True, slots=True)
class Realm:
    """A realm that answers."""

    folder: Path
    programs: Mapping[str, str]

    @property
    def configuration(self) -> Path:
        """What clients, Java too, read to find it."""
        return self.folder / "krb5.conf"

    def keytab(self, principal: str) -> Path:
        """Make `principal`, such as `kafka/HOST` or a user's name, and return the file with its
        key.
        """
        path = self.folder / f"{principal.replace('/', '-')}.keytab"
        for query in (f"addprinc -randkey {principal}", f"ktadd -k {path} {principal}"):
            self.call("kadmin.local", "-r", REALM, "-q", query)
        return path

    def environment(self, keytab: Path | None) -> dict[str, str]:
        """Return a client's environment as the user of `keytab`, or as nobody."""
        tickets = self.folder / f"tickets-{secrets.token_hex(4)}"
        return {
            "KRB5_CONFIG": str(self.configuration),
            "KRB5_CLIENT_KTNAME": f"FILE:{keytab or self.folder / 'none.keytab'}",
            "KRB5CCNAME": f"FILE:{tickets}",
        }

    def call(self, program: str, *words: str) -> None:
        """Run one of the realm's programs to its end; UnavailableError when it fails."""
        setting = [
            f"KRB5_CONFIG={self.configuration}",
            f"KRB5_KDC_PROFILE={self.folder / 'kdc.conf'}",
        ]
        run(["/usr/bin/env", *setting, self.programs[program], *words], self.folder)


@contextlib.contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """Run a new realm in `folder`; UnavailableError when its programs are not installed or it
    does not start.
    """
    programs = find_programs()
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    for name, text in (("krb5.conf", CLIENT), ("kdc.conf", SERVER)):
        (folder / name).write_text(
            text.format(realm=REALM, host=HOST, port=port, folder=folder), encoding="ascii"
        )
    realm = Realm(folder, programs)
    realm.call("kdb5_util", "create", "-s", "-r", REALM, "-P", secrets.token_hex(16))
    environment = {
        "KRB5_CONFIG": str(realm.configuration),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
    }
    words = [programs["krb5kdc"], "-n", "-r", REALM]
    waits = {
        "ready_seconds": READY_SECONDS,
        "look_seconds": LOOK_SECONDS,
        "end_seconds": END_SECONDS,
    }
    with running("Kerberos", words, folder / "kdc.log", environment, port, **waits):
        yield realm


def find_programs() -> dict[str, str]:
    """Find the realm's programs; UnavailableError says what to install."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    paths = {name: shutil.which(name, path=places) for name in PROGRAMS}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise UnavailableError(f"Kerberos needs {missing[0]}: {INSTALL}")
    return {name: path for name, path in paths.items() if path}
