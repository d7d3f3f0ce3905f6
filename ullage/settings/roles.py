"""How each role works, and the canary posts that go through all of them."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ullage.records import MAX_BODY_BYTES
from ullage.settings.knobs import LOOPBACK, Count, Port, Seconds, Section, knob


class ProxySettings(Section):
    """A way out that site files may name (`proxy`)."""

    address: str = knob("socks5h://127.0.0.1:9050", "socks5h://HOST:PORT (as Tor has) or http://HOST:PORT")
    ca: str = knob("", "file of certificates (PEM) that it signs with, relative to the data folder; none by default")
    credentials: str = knob("", "name of a file in keys/proxy with one line user:password; none by default")


class CrawlSettings(Section):
    """How sites are visited."""

    sites: str = knob("sites.d", "folder of site files, relative to the data folder; a change is noticed within seconds")
    user_agent: str = knob("ullage (leak monitor; contact: security@example.com)", "an honest name with a contact: put yours")
    concurrency: Count = knob(8, "requests under way over all sites; each site has its own pace as well")
    download_seconds: Seconds = knob(30.0, "longer than any honest page takes; a slow drip is cut here", "seconds")
    download_bytes: Annotated[int, Field(ge=1, le=MAX_BODY_BYTES)] = knob(
        MAX_BODY_BYTES, "a capture's limit; what is larger is cut off and marked", "bytes"
    )
    browser: str = knob(
        "/usr/lib/chromium/chromium", "renders pages of sites with `script`, in bubblewrap's cage: the program, no wrapper of it"
    )
    script_seconds: Seconds = knob(
        90.0, "a page whose scripts take longer is given up; what they ask for goes at the site's pace", "seconds"
    )
    redirects: Annotated[int, Field(ge=0)] = knob(5, "more hops than that is a trap")
    robots_seconds: Seconds = knob(3600.0, "a site that changes its mind is obeyed within the hour", "seconds")
    forget_days: Seconds = knob(
        90.0, "pages that no list has shown for so long are forgotten, and their posts; what is shown again is read again", "days"
    )
    pause_lag_hours: Seconds = knob(6.0, "beyond this lag of match, pages stay due instead of expiring unread", "hours")
    origin: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = knob(
        "crawl", "this crawl host's name in heartbeats; where there are several, each needs its own"
    )
    heartbeat_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = knob(
        60.0, "a heartbeat goes through the whole pipe so often; 0 sends none", "seconds"
    )
    egress_probe: Annotated[str, Field(pattern=r"^([^\s:/]+:[0-9]{1,5})?$")] = knob(
        "", "HOST:PORT that accepts connections whenever the way out works; empty: judged by the sites alone"
    )
    proxies: dict[str, ProxySettings] = knob({}, "one table a way out; a site goes by the one that its file names")
    quiet_days: Seconds = knob(
        365.0, "quiet is a silence that by the site's own rhythm comes less than once in this time", "days"
    )
    port: Port = knob(9711, "/metrics of crawl, on loopback; 0 takes a free one")


class MatchSettings(Section):
    """How captures are matched."""

    batch: Count = knob(64, "captures matched together: tags and look-ups are computed a batch at a time")
    capture_bytes: Count = knob(
        2**30, "read of one capture with all that is packed in it: 32 MiB packed 30 times, half a minute of work", "bytes"
    )
    capture_members: Count = knob(100_000, "read of one capture: a stealer's archive has about 20 for each victim", "members")
    capture_candidates: Count = knob(50_000_000, "looked up of one capture: a table of 1 GiB has about 30 million", "candidates")
    capture_rows: Count = knob(50_000_000, "lines read of one capture: a table of 1 GiB has about 10 million", "lines")
    capture_matches: Count = knob(
        1_000_000,
        "identifiers listed of one capture for each tenant, about 0.7 kB of memory each; all are counted",
        "identifiers",
    )
    ocr: bool = knob(
        False, "pictures are read as well, which takes seconds and up to 2 GB each; needs pip install 'ullage[match,ocr]'"
    )
    watchdog_seconds: Seconds = knob(
        1800.0, "no batch within its budgets takes so long; the process is ended, and what it had in hand comes alone", "seconds"
    )
    assess_seconds: Seconds = knob(
        600.0, "a file of 1 GiB that was dropped on the page is judged sooner; then it is given up", "seconds"
    )
    assess_users: tuple[str, ...] = knob(
        (), "users beside match's own who may have files assessed: search's, where roles run as users of their own"
    )
    port: Port = knob(9712, "/metrics of match, on loopback; 0 takes a free one")


class AlertSettings(Section):
    """How findings become incidents."""

    batch: Count = knob(64, "findings folded between two commits")
    together_minutes: Annotated[float, Field(ge=1, le=1440)] = knob(
        15.0, "what one author says in one channel within so long is one incident, and as long as it goes on so", "minutes"
    )
    watchdog_seconds: Seconds = knob(900.0, "as match's: a batch of findings is folded within seconds", "seconds")
    port: Port = knob(9713, "/metrics of alert, on loopback; 0 takes a free one")


BENEATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths below which a proxy may have the desk."""
UNIX = "unix"
"""In the place of an address: whoever comes by the socket file."""


class GrantSettings(Section):
    """What people may on the desk of whom the identity provider says that they are in a group."""

    value: str = knob("", "the group, as the claim has it")
    roles: tuple[str, ...] = knob(
        (), "what they are here; of operator, resolver and auditor nobody is two, by several groups neither"
    )
    tenants: tuple[str, ...] = knob((), "whose data they see; * is all, now and later")


class OidcSettings(Section):
    """An identity provider (OpenID Connect) by which people log in as well; the secret is `keys/oidc.secret`."""

    issuer: str = knob("", "its address, exactly as it gives it itself; none where this is empty")
    client_id: str = knob("", "by which it knows the desk")
    auth: Literal["client_secret_basic", "client_secret_post", "none"] = knob(
        "client_secret_basic", "how the desk shows that it is this client; none is a public client, without a secret"
    )
    scopes: tuple[str, ...] = knob(("profile",), "what is asked for beside openid")
    claim: str = knob("groups", "the claim that has somebody's groups")
    name: str = knob("preferred_username", "the claim that has somebody's name here, up to an @")
    label: str = knob("", "what it is called on the login page; single sign-on where this is empty")
    ca: str = knob(
        "", "file of the authorities (PEM) that alone are believed, relative to the data folder; the system's by default"
    )
    proxy: str = knob("", "http://HOST:PORT by which it is asked; directly by default, the environment's proxies are not used")
    seconds: Annotated[float, Field(gt=0, le=60)] = knob(10.0, "one answer of it; somebody waits for it", "seconds")
    minutes: Annotated[float, Field(gt=0, le=720)] = knob(
        15.0, "after so long it is asked again whether it still vouches for somebody, and in which groups they are", "minutes"
    )
    grants: dict[str, GrantSettings] = knob(
        {}, "one table a group; without any only those enter whose account was made for them by `user add --subject`"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("client_id is missing: the provider gives it when the desk is registered there")
        for name, address in (("issuer", self.issuer), ("proxy", self.proxy)):
            parts = urlsplit(address)
            if address and not parts.hostname:
                raise ValueError(f"{name} is no address")
        parts = urlsplit(self.issuer)
        if self.issuer and parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise ValueError("issuer is no https address: whoever stands between could say who anybody is")
        if any(not grant.value or not grant.roles or not grant.tenants for grant in self.grants.values()):
            raise ValueError("each of grants has a value, roles and tenants")
        return self


class SearchSettings(Section):
    """The desk."""

    host: str = knob("127.0.0.1", "where it listens; anywhere but on loopback it needs a certificate")
    port: Port = knob(8600, "the desk; 0 takes a free one")
    socket: str = knob("", "a socket file instead of host and port, relative to the data folder, for a proxy on this machine")
    certificate: str = knob("", "file of the certificate chain (PEM), relative to the data folder; with one TLS is spoken")
    key: str = knob("", "file of the certificate's private key, mode 0600")
    public: tuple[str, ...] = knob(
        (),
        "addresses by which readers reach it through a proxy, such as https://bank.example/ullage; notify.page is one as well",
    )
    proxies: tuple[str, ...] = knob(
        (),
        "addresses or networks of these proxies, unix for the socket: X-Forwarded-For and -Host are believed from them alone",
    )
    idle_minutes: Annotated[float, Field(gt=0, le=720)] = knob(30.0, "a session that is not used for so long is over", "minutes")
    session_hours: Annotated[float, Field(gt=0, le=24)] = knob(
        12.0, "a session is over after so long, however much it is used", "hours"
    )
    lookups_per_minute: Count = knob(30, "look-ups of one person or program: a desk asks, it does not try a list of numbers")
    lookups_per_day: Count = knob(2000, "look-ups of all together who see the same tenants, for many people are no way around")
    oidc: OidcSettings = OidcSettings()

    @field_validator("public")
    @classmethod
    def _addresses(cls, public: tuple[str, ...]) -> tuple[str, ...]:
        for one in public:
            parts = urlsplit(one)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
                raise ValueError("is no https address: passwords do not travel bare")
            if not parts.hostname or not BENEATH.fullmatch(parts.path) or parts.query or parts.fragment or parts.username:
                raise ValueError("is not of the form https://ullage.bank.example or https://bank.example/ullage, without user")
        return public

    @field_validator("proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            if one != UNIX:
                ip_network(one)
        return proxies

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key are given together or not at all")
        if not self.socket and self.host not in LOOPBACK and not self.certificate:
            raise ValueError("host is not loopback: give certificate and key, or put a proxy with TLS before a socket")
        return self


class IntakeSettings(Section):
    """Captures over HTTP, from collectors of others."""

    run: bool = knob(False, "`ullage run` starts it too; false where nobody hands in, or it is a service of its own")
    host: str = knob("127.0.0.1", "where it listens; anywhere but on loopback it needs a certificate")
    port: Port = knob(8601, "the service; 0 takes a free one")
    certificate: str = knob("", "file of the certificate chain (PEM), relative to the data folder; with one TLS is spoken")
    key: str = knob("", "file of the certificate's private key, mode 0600")
    body_bytes: Count = knob(48 * 2**20, "of one request: the largest attachment in base64", "bytes")
    waiting_bytes: Count = knob(
        128 * 2**20, "of all requests that wait for the bus; beyond it whoever sends is told to wait (429)", "bytes"
    )
    metrics_port: Port = knob(9714, "/metrics of intake, on loopback; 0 takes a free one")

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key are given together or not at all")
        if self.host not in LOOPBACK and not self.certificate:
            raise ValueError("host is not loopback: what is handed in there needs TLS: give certificate and key")
        return self


class CollectSettings(Section):
    """Collectors of chats; channels are files in `channels.d/`."""

    run: bool = knob(True, "`ullage run` starts one for each service that has channels; false where each is a service of its own")
    matrix_port: Port = knob(9716, "/metrics of `collect matrix`, on loopback; 0 takes a free one")
    xmpp_port: Port = knob(9717, "/metrics of `collect xmpp`, on loopback; 0 takes a free one")
    telegram_port: Port = knob(9718, "/metrics of `collect telegram`, on loopback; 0 takes a free one")
    imap_port: Port = knob(9719, "/metrics of `collect imap`, on loopback; 0 takes a free one")


class CanarySettings(Section):
    """Posts of our own that show how long the way from a post to a notification is; see `ullage.monitoring.canary`."""

    interval_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = knob(
        0.0, "a canary post so often, such as 300; 0 publishes none and watches for none", "seconds"
    )
    port: Port = knob(9715, "where crawl serves its canary site, on loopback; always the same, for the frontier knows it so")
