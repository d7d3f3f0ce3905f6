"""Guards for a Kafka broker on loopback as a careful team runs it: TLS, users with passwords, and
nothing that no rule allows.

The controller's own port stays without TLS: it is loopback, and it is the administrator there.
`Tools` runs Kafka's own command line as that administrator, with the words that `ullage check
--plan` prints.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.certificates import Certificates, make_certificates
from deploy.local.kafka import TOOL_JARS, ensure_libraries, run
from deploy.local.server import HOST, free_ports
from harness.servers.kafka_kerberos import REALM, Realm
from ullage.errors import ConfigError

ADMIN = "admin"
OTHER_HOST = "127.0.0.2"
"""Loopback as well, and not in the broker's certificate: a client that checks names must not go
on here.
"""
MECHANISM, SERVICE = "SCRAM-SHA-512", "bus"
TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
}
TOOLS |= {"kafka-configs.sh": "kafka.admin.ConfigCommand"}
PROPERTIES = """\
listeners=SASL_SSL://{host}:{port},OTHER://{other_host}:{other_port}\
,CONTROLLER://{host}:{controller}
advertised.listeners=SASL_SSL://{host}:{port},OTHER://{other_host}:{other_port}\
,CONTROLLER://{host}:{controller}
listener.security.protocol.map=SASL_SSL:SASL_SSL,OTHER:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms={mechanism}
sasl.mechanism.inter.broker.protocol={mechanism}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}
listener.name.other.scram-sha-512.sasl.jaas.config={login}
ssl.keystore.type=PEM
ssl.keystore.location={work}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={work}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{admin};User:ANONYMOUS
"""
TICKETS = """\
listener.name.sasl_ssl.sasl.enabled.mechanisms={mechanism},GSSAPI
sasl.kerberos.service.name={service}
listener.name.sasl_ssl.gssapi.sasl.jaas.config={login}
"""
KEYTAB = (
    "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
    'keyTab="{keytab}" principal="{service}/{host}@{realm}";'
)
LOGIN = (
    'org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}"'
    ' password="{password}";'
)
CLIENT = """\
security.protocol=SASL_SSL
sasl.mechanism={mechanism}
sasl.jaas.config={login}
ssl.truststore.type=PEM
ssl.truststore.location={work}/ca.pem
"""


@dataclass(frozen=True, slots=True)
class ScramGuard:
    """A `Guard`: TLS, `users` (name to password, by SCRAM-SHA-512), and no right but what access
    rules give; `ADMIN` has all.

    With a `realm` the main listener lets in by ticket as well, as Kerberos' service `SERVICE`.
    """

    users: Mapping[str, str]
    certificates: Certificates = field(default_factory=make_certificates)
    admin_password: str = field(default_factory=lambda: secrets.token_hex(16))
    other_port: int = field(default_factory=lambda: free_ports(1)[0])
    """Of the listener on `OTHER_HOST`, which has the same certificate."""
    realm: Realm | None = None

    def properties(self, host: str, port: int, controller: int, work: Path) -> str:
        """See `Guard.properties`; writes the broker's key and certificate, the authority's, and
        the administrator's login.
        """
        login = LOGIN.format(user=ADMIN, password=self.admin_password)
        _write_secret(work / "server.pem", self.certificates.key + self.certificates.certificate)
        (work / "ca.pem").write_bytes(self.certificates.authority)
        _write_secret(
            work / "admin.properties",
            CLIENT.format(mechanism=MECHANISM, login=login, work=work).encode(),
        )
        text = PROPERTIES.format(
            host=host, port=port, controller=controller, other_host=OTHER_HOST,
            other_port=self.other_port,
            mechanism=MECHANISM, login=login, work=work, admin=ADMIN,
        )  # fmt: skip
        if self.realm is None:
            return text
        keytab = self.realm.keytab(f"{SERVICE}/{host}")
        ticket = KEYTAB.format(keytab=keytab, service=SERVICE, host=host, realm=REALM)
        return text + TICKETS.format(mechanism=MECHANISM, service=SERVICE, login=ticket)

    def format_words(self) -> list[str]:
        """See `Guard.format_words`: every user, and the administrator, who is needed before
        anybody can make a user.
        """
        pairs = {**self.users, ADMIN: self.admin_password}.items()
        return [
            w
            for user, password in pairs
            for w in ("--add-scram", f"{MECHANISM}=[name={user},password={password}]")
        ]

    def java_options(self) -> list[str]:
        """See `Guard.java_options`."""
        return [f"-Djava.security.krb5.conf={self.realm.configuration}"] if self.realm else []

    def trust(self) -> ssl.SSLContext:
        """See `Guard.trust`."""
        return ssl.create_default_context(cadata=self.certificates.authority.decode("ascii"))


@dataclass(frozen=True, slots=True)
class Tools:
    """Kafka's command line against a broker of this module; `work` is the broker's folder,
    `port` its port.
    """

    work: Path
    port: int

    def run(self, line: str) -> str:
        """Run one line such as `kafka-topics.sh --list`, as the administrator, and return what it
        printed.

        `$BOOTSTRAP` and `$ADMIN` in it become the broker's address and the administrator's login.
        ConfigError when the line is no tool's; UnavailableError has the tool's last line when it
        failed.
        """
        values = {
            "$BOOTSTRAP": f"{HOST}:{self.port}",
            "$ADMIN": str(self.work / "admin.properties"),
        }
        tool, *words = [values.get(word, word) for word in shlex.split(line)]
        if tool not in TOOLS:
            raise ConfigError(
                f"{tool} is no tool of Kafka that is known here: use {', '.join(sorted(TOOLS))}"
            )
        java = [
            shutil.which("java") or "java",
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
        ]
        logging = f"-Dlog4j2.configurationFile={self.work / 'log4j2.properties'}"
        return run(
            [*java, logging, "-cp", f"{ensure_libraries(TOOL_JARS)}/*", TOOLS[tool], *words],
            self.work,
        )


def _write_secret(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
