"""One configuration: `ullage.toml` in the data folder, overridden by `ULLAGE_…` variables, then by command-line options.

Read once, by the command line, and passed down as values. Each knob has a default, a unit where it has one, and a reason;
`ullage config show` prints them all. No secret is ever in here: keys have files of their own (`ullage.keys`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from ullage.audit import Trail
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Bus, Retention, open_bus
from ullage.bus.routed import RoutedBus
from ullage.canary import TENANT as CANARY
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.fields import Field as Label
from ullage.keys import KeyStore
from ullage.records import MAX_BODY_BYTES
from ullage.verdict import Rules, own_rules, read_rules

FILE = "ullage.toml"
PREFIX = "ULLAGE_"
RULES = "rules"
"""Folder of the house's own rules, in the data folder."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
TENANT = re.compile(r"[a-z][a-z0-9-]{0,31}")
AtLeast = Literal["noise", "notice", "low", "medium", "high", "statutory"]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _knob(default: Any, reason: str, unit: str = "") -> Any:
    return Field(default=default, description=reason, json_schema_extra={"unit": unit})


class BusSettings(_Section):
    """Where records travel between stages."""

    url: str = _knob("sqlite:///bus", "sqlite:///FOLDER on one machine, kafka://HOST:PORT on many, spool:///DIR across a gap")
    captures: str = _knob("", "topic captures alone, behind a gap: spool:///DIR that the carrier fills; the bus above by default")
    captures_hours: Seconds = _knob(24.0, "sealed captures are read within minutes; the law asks for the least", "hours")
    findings_days: Seconds = _knob(7.0, "long enough to replay a week after a mistake in alert", "days")
    dead_letters_days: Seconds = _knob(7.0, "a week to look at what could not be processed, then gone", "days")
    max_bytes: Count = _knob(8 * 2**30, "a topic never fills the disk", "bytes")

    def retention(self) -> dict[str, Retention]:
        """Retention a topic."""
        return {
            CAPTURES: Retention(self.captures_hours * 3600, self.max_bytes),
            FINDINGS: Retention(self.findings_days * 86400, self.max_bytes),
            DEAD_LETTERS: Retention(self.dead_letters_days * 86400, self.max_bytes),
        }


class StoreSettings(_Section):
    """Where incidents are kept."""

    url: str = _knob("sqlite:///incidents.sqlite", "sqlite:///FILE on one machine, elasticsearch://HOST:PORT on many")
    exposures_days: Seconds = _knob(180.0, "an exposure names a customer's handle: kept while it is useful (PIPL 19)", "days")
    incidents_days: Seconds = _knob(1095.0, "processing records are kept three years (PIPL 56)", "days")


class AuditSettings(_Section):
    """The log of what was changed, by whom and why."""

    days: Annotated[float, Field(ge=183, allow_inf_nan=False)] = _knob(
        1095.0, "at least six months (Cybersecurity Law 23(3)); three years as processing records (PIPL 56)", "days"
    )


class KeySettings(_Section):
    """Where keys are read from; see `ullage.keys`."""

    folder: str = _knob("keys", "one 0600 file a key, relative to the data folder")
    command: tuple[str, ...] = _knob((), "program that prints a key in hex when run with its name (KMS, Vault)")


class CrawlSettings(_Section):
    """How sites are visited."""

    sites: str = _knob("sites.d", "folder of site files, relative to the data folder; read again on each visit")
    user_agent: str = _knob("ullage (leak monitor; contact: security@example.com)", "an honest name with a contact: put yours")
    concurrency: Count = _knob(8, "requests under way over all sites; each site has its own pace as well")
    download_seconds: Seconds = _knob(30.0, "longer than any honest page takes; a slow drip is cut here", "seconds")
    download_bytes: Annotated[int, Field(ge=1, le=MAX_BODY_BYTES)] = _knob(
        MAX_BODY_BYTES, "a capture's limit; what is larger is cut off and marked", "bytes"
    )
    redirects: Annotated[int, Field(ge=0)] = _knob(5, "more hops than that is a trap")
    robots_seconds: Seconds = _knob(3600.0, "a site that changes its mind is obeyed within the hour", "seconds")
    pause_lag_hours: Seconds = _knob(6.0, "beyond this lag of match, pages stay due instead of expiring unread", "hours")
    origin: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = _knob(
        "crawl", "this crawl host's name in heartbeats; where there are several, each needs its own"
    )
    heartbeat_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _knob(
        60.0, "a heartbeat goes through the whole pipe so often; 0 sends none", "seconds"
    )
    egress_probe: Annotated[str, Field(pattern=r"^([^\s:/]+:[0-9]{1,5})?$")] = _knob(
        "", "HOST:PORT that accepts connections whenever the way out works; empty: judged by the sites alone"
    )
    quiet_days: Seconds = _knob(
        365.0, "quiet is a silence that by the site's own rhythm comes less than once in this time", "days"
    )
    port: Port = _knob(9711, "/metrics of crawl, on loopback; 0 takes a free one")


class MatchSettings(_Section):
    """How captures are matched."""

    batch: Count = _knob(64, "captures matched together: tags and look-ups are computed a batch at a time")
    port: Port = _knob(9712, "/metrics of match, on loopback; 0 takes a free one")


class AlertSettings(_Section):
    """How findings become incidents."""

    batch: Count = _knob(64, "findings folded between two commits")
    port: Port = _knob(9713, "/metrics of alert, on loopback; 0 takes a free one")


class SearchSettings(_Section):
    """The fraud team's page."""

    host: str = _knob("127.0.0.1", "loopback only: this version has no accounts, so nothing else is allowed")
    port: Port = _knob(8600, "the page; 0 takes a free one")

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if host not in LOOPBACK:
            raise ValueError("is not loopback: put a proxy with TLS and accounts before it")
        return host


class CanarySettings(_Section):
    """Posts of our own that show how long the way from a post to a notification is; see `ullage.canary`."""

    interval_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _knob(
        0.0, "a canary post so often, such as 300; 0 publishes none and watches for none", "seconds"
    )
    port: Port = _knob(9715, "where crawl serves its canary site, on loopback; always the same, for the frontier knows it so")


class Entity(_Section):
    """Who answers for a tenant, as a report to an authority names it. What is "" stays for a person to fill in."""

    name: str = _knob("", "its registered name, as in its licence")
    name_en: str = _knob("", "the same in English, for reports abroad")
    contact: str = _knob("", "who answers an authority's call: name, office and number of a post, not of a customer")
    officer: str = _knob("", "the officer for personal information protection (PIPL 52), or the DPO")
    regulators: tuple[str, ...] = _knob((), "authorities that it reports to, as they are addressed")
    system: str = _knob("", "the system or facility that its customers' data is in, with its protection grade")


class ChannelSettings(_Section):
    """One channel that messages leave by; what is secret of it lies in the key folder, see `alerts.notify`."""

    kind: str = _knob("webhook", "webhook, dingtalk, wecom, feishu, slack, teams or mail: a file in alerts/notify/channels")
    detail: Literal["minimal", "facts"] = _knob(
        "minimal", "minimal: severity, incident number, the page's address; facts: also counts, scenario and sites"
    )


class RouteSettings(_Section):
    """Which incidents go to which channels; an incident takes every route that it fits."""

    channels: tuple[str, ...] = _knob((), "names of channels")
    tenants: tuple[str, ...] = _knob((), "of these tenants alone; all by default")
    severity: AtLeast = _knob("medium", "at least this severity: lower ones are for the list, not for a phone")
    scenarios: tuple[str, ...] = _knob((), "of these scenarios alone (X1 …); all by default")
    origins: tuple[str, ...] = _knob((), "of these origins alone (ours, partner, …); all by default")
    repeat_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _knob(
        4.0, "a high or statutory incident that nobody has acknowledged is sent again so often; 0 never", "hours"
    )
    escalate_to: tuple[str, ...] = _knob((), "channels that hear of a high or statutory one that stays unacknowledged")
    escalate_minutes: Seconds = _knob(30.0, "how long it may stay so", "minutes")


class NotifySettings(_Section):
    """Who is told of incidents. Nothing is sent before there is a route."""

    page: str = _knob("", "the page's address as readers reach it; that of this machine by default")
    group_seconds: Annotated[float, Field(ge=0, le=3600)] = _knob(
        20.0, "new incidents of a tenant within this time are one message", "seconds"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = _knob(10.0, "one attempt; a channel that hangs is down", "seconds")
    retry_hours: Seconds = _knob(24.0, "a message that cannot be delivered for so long is given up, and counted", "hours")
    channels: dict[str, ChannelSettings] = _knob({}, "one table a channel")
    routes: dict[str, RouteSettings] = _knob({}, "one table a route")

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in (*self.channels, *self.routes):
            if not TENANT.fullmatch(name):
                raise ValueError(f"{name!r} is no name: use a-z, 0-9 and -, at most 32")
        for name, route in self.routes.items():
            if not route.channels:
                raise ValueError(f"routes.{name} has no channels")
            if unknown := sorted({*route.channels, *route.escalate_to} - {*self.channels}):
                raise ValueError(f"routes.{name} names the channel {unknown[0]!r}, for which there is no table")
        return self


class EvidenceSettings(_Section):
    """Sealed evidence of what is `high` or above, for tenants that turn it on; see `ullage.evidence`."""

    folder: str = _knob("evidence", "sealed files, relative to the data folder")
    officers: tuple[str, ...] = _knob((), "the two officers who open it together; keys/evidence/NAME.pub is in the key folder")
    days: Seconds = _knob(180.0, "as long as exposures; `ullage incidents hold` keeps what a case needs", "days")
    max_bytes: Count = _knob(8 * 2**30, "evidence never fills the disk; beyond it none is kept, and that is counted", "bytes")


class Tenant(_Section):
    """One financial platform: what names it in a text."""

    brands: tuple[str, ...] = _knob((), "names a post would use for it; a brand beside jargon is worth an analyst's look")
    domains: tuple[str, ...] = _knob((), "its own domains, for login lines in stealer logs")
    bins: tuple[str, ...] = _knob((), "its card ranges (first 6 to 8 digits)")
    own_numbers: tuple[str, ...] = _knob(
        (), "its hotlines, service mobiles and mail addresses: public, so never a match and no second person in a post"
    )
    circulation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _knob(
        1.8e9, "numbers in use in its market: what chance alone would match", "numbers"
    )
    own_fields: tuple[Label, ...] = _knob(
        (), "labels of fields that nobody else holds, such as POLICY: they say whose rows they are"
    )
    own_cohorts: tuple[str, ...] = _knob(
        ("export",), "cohorts that nobody outside can know, such as the export that a customer stands in"
    )
    zone: str = _knob("Asia/Shanghai", "the zone that its deadlines are shown in and its days end in")
    regimes: tuple[str, ...] = _knob(
        ("pipl-57", "cac-2025-cii", "cac-2025", "pboc-2025", "nfra-2024"),
        "rules of notification that it is under, as `ullage incidents regimes` lists them",
    )
    evidence: bool = _knob(False, "seal what was posted where a finding is high or above, for two officers; see [evidence]")
    is_cii: bool = _knob(False, "operates critical information infrastructure: then CAC gives 1 hour, not 4")
    entity: Entity = Entity()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone that is installed here: use a name like Asia/Shanghai") from None
        return zone


class Settings(BaseSettings):
    """Everything, frozen."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    log_level: Literal["debug", "info", "warning", "error"] = _knob("info", "debug, info, warning or error")
    metrics: bool = _knob(True, "serve /metrics, /healthz and /readyz on loopback")
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    audit: AuditSettings = AuditSettings()
    keys: KeySettings = KeySettings()
    crawl: CrawlSettings = CrawlSettings()
    match: MatchSettings = MatchSettings()
    alert: AlertSettings = AlertSettings()
    search: SearchSettings = SearchSettings()
    canary: CanarySettings = CanarySettings()
    notify: NotifySettings = NotifySettings()
    evidence: EvidenceSettings = EvidenceSettings()
    tenants: dict[str, Tenant] = _knob({}, "one table a tenant")

    @field_validator("tenants")
    @classmethod
    def _names(cls, tenants: dict[str, Tenant]) -> dict[str, Tenant]:
        if bad := [name for name in tenants if not TENANT.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is no tenant name: use a-z, 0-9 and -, at most 32")
        if CANARY in tenants:
            raise ValueError(f"{CANARY!r} is the name of canary posts' own tenant: choose another")
        return tenants

    @model_validator(mode="after")
    def _officers(self) -> Self:
        named = set(self.evidence.officers)
        if any(tenant.evidence for tenant in self.tenants.values()) and (len(named) != 2 or len(self.evidence.officers) != 2):
            raise ValueError("a tenant has evidence = true: evidence.officers must name two officers")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; neither secrets folders nor .env files are read."""
        file = settings_cls.model_config.get("toml_file")
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file))


def load(data: Path) -> Settings:
    """The settings of the data folder; ConfigError names the file, the knob and what is wrong with it."""
    file = data / FILE
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file} is no file: move it away and run `ullage init`")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile()
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part) for part in first["loc"]]
        variable = PREFIX + "__".join(parts).upper()
        where = variable if variable in os.environ else f"{file}: {'.'.join(parts)}"
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    except SettingsError as error:
        raise ConfigError(f"a {PREFIX}… variable: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror})") from None


class Context:
    """What the command line hands to a command: the data folder, its settings, its keys, the clock."""

    def __init__(self, data: Path, clock: Clock | None = None, settings: Settings | None = None) -> None:
        self.data = data
        self.clock = clock or Clock()
        self.settings = settings or load(data)
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self.keys = KeyStore(
            data / self.settings.keys.folder, self.settings.keys.command, Path(credentials) if credentials else None
        )

    def bus(self) -> Bus:
        """Open the configured bus."""
        urls, keep = self.settings.bus, self.settings.bus.retention()
        if not urls.captures:
            return open_bus(urls.url, self.data, keep, self.clock)
        captures = {CAPTURES: keep.pop(CAPTURES)}
        return RoutedBus(
            open_bus(urls.captures, self.data, captures, self.clock), open_bus(urls.url, self.data, keep, self.clock)
        )

    def rules(self) -> Rules:
        """The rules of verdicts that are in force: the house's own, or this version's. ConfigError when the former are wrong."""
        own = self.data / RULES / "verdict.toml"
        try:
            return read_rules(own.read_text(encoding="utf-8"), str(own)) if own.exists() else own_rules()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{own} cannot be read ({type(error).__name__})") from None

    def trail(self, chain: str = "command") -> Trail:
        """The audit log of a role that changes something; commands share one chain."""
        return Trail(self.data / AUDIT, chain, self.keys, self.clock, self.settings.audit.days)

    def tenant(self, name: str) -> Tenant:
        """The tenant's settings; those of an unnamed tenant are the defaults."""
        return self.settings.tenants.get(name, Tenant())
