"""Parse the URL of a Kafka bus, and derive the client's settings from it.

`kafka://HOST:PORT[,HOST:PORT]?prefix=ullage.&security=SASL_SSL&mechanism=SCRAM-SHA-512` may be
followed by `&cafile=FILE&credentials=FILE`. A URL is printed and logged, so user and password
are in a file of their own, one per line, that nobody else may read. So is a client's certificate
with its key (`certificate=FILE`, see `ullage.security.tls`). `create=1` lets the bus create its
topics (`partitions`, `replication`); otherwise the team that owns the cluster does. With
`mechanism=GSSAPI` (Kerberos) no file holds a login: the ticket comes from the system's Kerberos
library, by `KRB5_CLIENT_KTNAME` or `kinit`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ullage.errors import ConfigError
from ullage.files.ownership import read_trusted
from ullage.files.validation import redact_word
from ullage.security.keys import find_credentials_folder
from ullage.security.tls import Trust, find_named_file


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    create: bool = False
    partitions: int = Field(default=6, ge=1, le=1000)
    replication: int = Field(default=-1, ge=-1, le=9)
    security: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = "PLAINTEXT"
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "GSSAPI"] | None = None
    cafile: str | None = None
    certificate: str | None = None
    credentials: str | None = None
    service: str = Field(default="kafka", pattern=r"^[A-Za-z0-9_-]{1,64}$")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """The brokers, the names of topics there, and how a client connects."""

    servers: tuple[str, ...]
    prefix: str
    create: bool
    partitions: int
    replication: int
    client: dict[str, Any]
    trust: Trust | None = None
    """None if the brokers do not use TLS."""
    certified: bool = False
    """Whether certificates identify users: the URL names a certificate, and no login."""

    def topic(self, name: str) -> str:
        """Return the cluster's name of our topic `name`."""
        return f"{self.prefix}{name}"

    def group(self, name: str) -> str:
        """Return the cluster's name of our group `name`."""
        return f"{self.prefix}{name}"


def parse(rest: str, data: Path) -> KafkaAddress:
    """Return the address and client settings in `rest`, the part of a URL behind `kafka://`.

    Certificates and passwords are read from files relative to the folder `data`. Raises
    ConfigError, which names the fault.
    """
    servers, query = _read(rest)
    client: dict[str, Any] = {"security_protocol": query.security}
    trust = _trust(query, data)
    if trust:
        client["ssl_context"] = trust.context()
    if query.security.startswith("SASL"):
        client |= _sasl(query, data)
    return _address(servers, query, client, trust)


def trust_of(rest: str, data: Path) -> Trust | None:
    """Return the TLS certificates that a client trusts and shows; None without TLS.

    Raises ConfigError if `rest`, the part of bus.url after the scheme, is invalid, or names a
    client certificate without TLS.
    """
    return _trust(_read(rest)[1], data)


def outline(rest: str) -> KafkaAddress:
    """Return the address in `rest`, the part of a URL behind `kafka://`, without credentials.

    No file is read, so neither credentials nor cluster need exist yet. Raises ConfigError if the
    URL is invalid.
    """
    servers, query = _read(rest)
    return _address(servers, query, {"security_protocol": query.security})


def _address(
    servers: tuple[str, ...], query: _Query, client: dict[str, Any], trust: Trust | None = None
) -> KafkaAddress:
    certified = query.security == "SSL" and query.certificate is not None
    return KafkaAddress(
        servers,
        query.prefix,
        query.create,
        query.partitions,
        query.replication,
        client,
        trust,
        certified,
    )


def _trust(query: _Query, data: Path) -> Trust | None:
    if query.security.endswith("SSL"):
        certificate = find_named_file(query.certificate, data) if query.certificate else None
        return Trust("bus.url", data / query.cafile if query.cafile else None, certificate)
    if query.certificate:
        raise ConfigError(
            f"bus.url: certificate= needs TLS: use SSL or SASL_SSL instead of"
            f" security={query.security}"
        )
    return None


def _read(rest: str) -> tuple[tuple[str, ...], _Query]:
    hosts, _, text = rest.partition("?")
    if "@" in hosts:
        raise ConfigError(
            "bus.url contains a user: put user and password, one per line, into a 0600"
            " file and set credentials=FILE"
        )
    servers = tuple(host for host in hosts.rstrip("/").split(",") if host)
    if not servers or "/" in hosts.rstrip("/"):
        raise ConfigError("bus.url names no broker: use kafka://HOST:PORT[,HOST:PORT]")
    try:
        query = _Query.model_validate(dict(parse_qsl(text, keep_blank_values=True)))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(
            f"bus.url: {'.'.join(redact_word(str(part)) for part in first['loc'])}: {first['msg']}"
        ) from None
    return servers, query


def _sasl(query: _Query, data: Path) -> dict[str, Any]:
    if query.mechanism is None:
        raise ConfigError(
            "bus.url: security=SASL_… needs a mechanism: set mechanism=, such as SCRAM-SHA-512"
        )
    if query.mechanism == "GSSAPI":
        return _kerberos(query.service)
    if query.security == "SASL_PLAINTEXT" and query.mechanism == "PLAIN":
        raise ConfigError(
            "bus.url would send a password in clear: use security=SASL_SSL, or a SCRAM mechanism"
        )
    if query.credentials is None:
        raise ConfigError(
            "bus.url: SASL needs a login: set credentials=FILE, with user and password,"
            " one per line"
        )
    user, password = _credentials(find_named_file(query.credentials, data))
    return {
        "sasl_mechanism": query.mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }


def _kerberos(service: str) -> dict[str, Any]:
    """Return the client's settings for Kerberos.

    `service` is the first half of the broker's name there: `kafka` of `kafka/HOST@REALM`. Raises
    ConfigError if the library is not installed.
    """
    try:
        importlib.import_module("gssapi")
    except (ImportError, OSError):  # the module or its library is missing
        needs = "the module gssapi and the system's Kerberos library"
        raise ConfigError(
            f"bus.url: mechanism=GSSAPI needs {needs}: install ullage[kerberos]"
        ) from None
    return {"sasl_mechanism": "GSSAPI", "sasl_kerberos_service_name": service}


def _credentials(file: Path) -> tuple[str, str]:
    try:
        lines = (
            read_trusted(file, secret=file.parent != find_credentials_folder())
            .decode("utf-8-sig")
            .splitlines()
        )
    except (FileNotFoundError, UnicodeDecodeError):
        raise ConfigError(
            f"{file} cannot be read: it must have Kafka's user and password, one per line"
        ) from None
    if len(lines) != 2 or not all(lines):
        raise ConfigError(f"{file} must have two lines: user, then password")
    return lines[0], lines[1]
