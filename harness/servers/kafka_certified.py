"""A guard for a Kafka broker on loopback that knows its users by their certificates (mutual
TLS), and by nothing else.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.certificates import Authority
from deploy.local.server import free_ports
from harness.servers.kafka_secured import OTHER_HOST

RULE = "RULE:^CN=([A-Za-z0-9-]+).*$/$1/,DEFAULT"
"""As `ullage check --plan` prints it: a user is called as its certificate is."""
PROPERTIES = """\
listeners={listeners},CONTROLLER://{host}:{controller}
advertised.listeners={listeners},CONTROLLER://{host}:{controller}
listener.security.protocol.map=SSL:SSL,OTHER:SSL,OVER:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SSL
ssl.client.auth=required
ssl.principal.mapping.rules={rule}
ssl.keystore.type=PEM
ssl.keystore.location={work}/server.pem
listener.name.over.ssl.keystore.type=PEM
listener.name.over.ssl.keystore.location={work}/over.pem
ssl.truststore.type=PEM
ssl.truststore.location={work}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:localhost;{users}
"""


@dataclass(frozen=True, slots=True)
class CertificateGuard:
    """A `Guard`: TLS with clients' certificates of `authority`; `users` may do everything,
    others nothing.
    """

    authority: Authority
    users: Sequence[str]
    ports: Sequence[int] = field(default_factory=lambda: free_ports(2))
    """Of the listener on `OTHER_HOST`, which the broker's certificate does not name, and of one
    whose certificate is over.
    """

    def properties(self, host: str, port: int, controller: int, work: Path) -> str:
        """See `Guard.properties`; writes the broker's certificates and keys, and the
        authority's.
        """
        second_port, over = self.ports
        pairs = {
            "server.pem": self.authority.server(),
            "over.pem": self.authority.server(until=dt.timedelta(minutes=-1)),
        }
        for name, pair in pairs.items():
            with open(
                work / name, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)
            ) as file:
                file.write(pair.pair)
            (work / "ca.pem").write_bytes(pair.authority)
        return PROPERTIES.format(
            listeners=f"SSL://{host}:{port},OTHER://{OTHER_HOST}:{second_port}"
            f",OVER://{host}:{over}",
            host=host, controller=controller,
            rule=RULE, work=work, users=";".join(f"User:{user}" for user in self.users),
        )  # fmt: skip

    def format_words(self) -> list[str]:
        """See `Guard.format_words`."""
        return []

    def java_options(self) -> list[str]:
        """See `Guard.java_options`."""
        return []

    def trust(self) -> ssl.SSLContext:
        """See `Guard.trust`; the broker asks for a certificate only after the handshake, so its
        answer is waited for with one.
        """
        pair = self.authority.client(self.users[0])
        context = ssl.create_default_context(cadata=pair.authority.decode("ascii"))
        handle = os.memfd_create("certificate")
        try:
            os.write(handle, pair.pair)
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
        return context
