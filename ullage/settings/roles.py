"""Define settings of each service, and of the canary posts that pass through all of them."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ullage.records import MAX_BODY_BYTES
from ullage.settings.knobs import LOOPBACK, Count, Port, Seconds, SettingsTable, setting

METRICS_PORTS = {
    "crawl": 9711,
    "match": 9712,
    "alert": 9713,
    "intake": 9714,
    "matrix": 9716,
    "xmpp": 9717,
    "telegram": 9718,
    "imap": 9719,
}
"""Metrics ports of services and collectors.

Search serves metrics beside its pages; 9715 is the canary site.
"""


class ProxySettings(SettingsTable):
    """A proxy that site files may name (`proxy`)."""

    address: str = setting(
        "socks5h://127.0.0.1:9050", "socks5h://HOST:PORT (as Tor has) or http://HOST:PORT"
    )
    ca: str = setting("", "its certificate authorities (PEM file)")
    credentials: str = setting("", "name of a file in keys/proxy with a line user:password")


class CrawlSettings(SettingsTable):
    """How sites are visited."""

    user_agent: str = setting(
        "ullage (leak monitor; contact: security@example.com)", "an honest name with your contact"
    )
    concurrency: Count = setting(8, "concurrent requests to all sites")
    download_seconds: Seconds = setting(30.0, "time limit of a page", "seconds")
    download_bytes: Annotated[int, Field(ge=1, le=MAX_BODY_BYTES)] = setting(
        MAX_BODY_BYTES, "size limit of a post; the rest is cut off and marked", "bytes"
    )
    browser: str = setting(
        "/usr/lib/chromium/chromium",
        "renders pages of sites with `script`, confined by bubblewrap; not a wrapper script",
    )
    origin: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = setting(
        "crawl", "name of this crawl host, unique"
    )
    heartbeat_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        60.0, "time between heartbeats; 0 sends none", "seconds"
    )
    egress_probe: Annotated[str, Field(pattern=r"^([^\s:/]+:[0-9]{1,5})?$")] = setting(
        "", "HOST:PORT that shows whether there is network access; empty: the sites show it"
    )
    proxies: dict[str, ProxySettings] = setting({}, "one table per proxy")


class MatchSettings(SettingsTable):
    """How captures are matched."""

    batch: Count = setting(64, "posts matched together")
    capture_bytes: Count = setting(2**30, "unpacked bytes of one post", "bytes")
    capture_matches: Count = setting(
        1_000_000,
        "identifiers listed of one post and tenant (0.7 kB of memory each); all are counted",
        "identifiers",
    )
    ocr: bool = setting(
        False,
        (
            "read images, which takes seconds and up to 2 GB each; needs pip install"
            " 'ullage[match,ocr]'"
        ),
    )
    assess_users: tuple[str, ...] = setting(
        (),
        "other users, by name or number, who may submit files for assessment, such as search's",
    )
    assess_folder: str = setting(
        "",
        (
            "folder of the socket on which search submits files for assessment; by"
            " default the data folder"
        ),
    )


class AlertSettings(SettingsTable):
    """How findings become incidents."""

    batch: Count = setting(64, "findings grouped between two commits")


BENEATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths at which a proxy may serve the console."""
UNIX = "unix"
"""Stands for the clients of the socket file, in the place of an address."""


class GrantSettings(SettingsTable):
    """Permissions of a group's members."""

    value: str = setting("", "the group, as in the claim")
    roles: tuple[str, ...] = setting(
        (), "their roles; nobody may have two of operator, resolver and auditor"
    )
    tenants: tuple[str, ...] = setting((), "tenants whose data they see; * for all")


class OidcSettings(SettingsTable):
    """Single sign-on by OpenID Connect; the secret is `keys/oidc.secret`."""

    issuer: str = setting("", "the provider's address, exactly as it names itself")
    client_id: str = setting("", "the console's name there")
    auth: Literal["client_secret_basic", "client_secret_post", "none"] = setting(
        "client_secret_basic", "client authentication; none for a public client"
    )
    scopes: tuple[str, ...] = setting(("profile",), "scopes in addition to openid")
    claim: str = setting("groups", "the claim with the groups")
    name: str = setting("preferred_username", "the claim with the account name, up to an @")
    ca: str = setting("", "its certificate authorities (PEM file); the system's by default")
    proxy: str = setting("", "http://HOST:PORT of a proxy; the environment's are not used")
    grants: dict[str, GrantSettings] = setting(
        {},
        (
            "one table per group; without it, only accounts created with `user add"
            " --subject` can log in"
        ),
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError(
                "client_id is missing: enter the one that the provider gives when you"
                " register the console"
            )
        for name, address in (("issuer", self.issuer), ("proxy", self.proxy)):
            parts = urlsplit(address)
            if address and not parts.hostname:
                raise ValueError(f"{name} is not a valid address")
        parts = urlsplit(self.issuer)
        if (
            self.issuer
            and parts.scheme != "https"
            and not (parts.scheme == "http" and parts.hostname in LOOPBACK)
        ):
            raise ValueError(
                "issuer must be an https address, so that nobody in between can forge identities"
            )
        if any(
            not grant.value or not grant.roles or not grant.tenants
            for grant in self.grants.values()
        ):
            raise ValueError("every entry of grants needs a value, roles and tenants")
        return self


class SearchSettings(SettingsTable):
    """The console."""

    host: str = setting("127.0.0.1", "listening address; beyond loopback it needs a certificate")
    port: Port = setting(8600, "0 takes a free port")
    socket: str = setting("", "a socket file instead of host and port, for a proxy")
    certificate: str = setting("", "certificate chain for TLS (PEM file)")
    key: str = setting("", "its private key (file, 0600)")
    public: tuple[str, ...] = setting(
        (),
        "addresses of the console behind a proxy, such as https://bank.example/ullage",
    )
    proxies: tuple[str, ...] = setting(
        (),
        "addresses or networks of trusted proxies, or unix",
    )
    idle_minutes: Annotated[float, Field(gt=0, le=720)] = setting(
        30.0, "an unused session ends after this time", "minutes"
    )
    session_hours: Annotated[float, Field(gt=0, le=24)] = setting(
        12.0, "every session ends after this time", "hours"
    )
    lookups_per_minute: Count = setting(30, "look-ups that one person or program may make")
    lookups_per_day: Count = setting(
        2000, "look-ups that all who see the same tenants may make together"
    )
    oidc: OidcSettings = OidcSettings()

    @field_validator("public")
    @classmethod
    def _validate_addresses(cls, public: tuple[str, ...]) -> tuple[str, ...]:
        for address in public:
            parts = urlsplit(address)
            if parts.scheme != "https" and not (
                parts.scheme == "http" and parts.hostname in LOOPBACK
            ):
                raise ValueError(
                    "must be an https address, so that passwords are encrypted on the way"
                )
            if (
                not parts.hostname
                or not BENEATH.fullmatch(parts.path)
                or parts.query
                or parts.fragment
                or parts.username
            ):
                raise ValueError(
                    "must have the form https://ullage.bank.example or"
                    " https://bank.example/ullage, without user"
                )
        return public

    @field_validator("proxies")
    @classmethod
    def _validate_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for network in proxies:
            if network != UNIX:
                ip_network(network)
        return proxies

    @model_validator(mode="after")
    def _require_tls(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key must be given together")
        if not self.socket and self.host not in LOOPBACK and not self.certificate:
            raise ValueError(
                "host is not loopback: give certificate and key, or put a proxy with TLS before a"
                " socket"
            )
        return self


class IntakeSettings(SettingsTable):
    """Posts from other collectors over HTTP."""

    run: bool = setting(False, "`ullage run` starts it too")
    host: str = setting("127.0.0.1", "listening address; beyond loopback it needs a certificate")
    port: Port = setting(8601, "0 takes a free port")
    certificate: str = setting("", "certificate chain for TLS (PEM file)")
    key: str = setting("", "its private key (file, 0600)")

    @model_validator(mode="after")
    def _require_tls(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key must be given together")
        if self.host not in LOOPBACK and not self.certificate:
            raise ValueError("host is not loopback, so posts need TLS: give certificate and key")
        return self


class CanarySettings(SettingsTable):
    """Canary posts, which time the way from a post to a notification."""

    interval_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        0.0, "time between canary posts, such as 300; 0 for none", "seconds"
    )
    port: Port = setting(9715, "crawl's canary site on loopback; do not change it later")
