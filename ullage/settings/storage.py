"""Define settings of the bus, the store, the audit log, keys, evidence, channels and routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Retention
from ullage.files.validation import quote_word
from ullage.settings.knobs import TENANT, Count, Seconds, SettingsTable, setting, validate_zone
from ullage.verdict.rules import Severity


class BusSettings(SettingsTable):
    """How records travel between stages."""

    url: str = setting("sqlite:///bus", "sqlite:///FOLDER, kafka://HOST:PORT or spool:///DIR")
    captures: str = setting("", "topic captures behind a gap: spool:///DIR")
    captures_hours: Seconds = setting(
        24.0, "retention of posts; the law requires it to be short", "hours"
    )
    findings_days: Seconds = setting(
        7.0, "retention of findings and of unprocessed records", "days"
    )
    max_bytes: Count = setting(8 * 2**30, "size limit of a topic", "bytes")

    @property
    def most_lag_seconds(self) -> float:
        """Lag of match beyond which collecting stops: a quarter of the retention of captures."""
        return self.captures_hours * 3600 / 4

    def retention(self) -> dict[str, Retention]:
        """Return the retention of each topic."""
        return {
            CAPTURES: Retention(self.captures_hours * 3600, self.max_bytes),
            FINDINGS: Retention(self.findings_days * 86400, self.max_bytes),
            DEAD_LETTERS: Retention(self.findings_days * 86400, self.max_bytes),
        }


class StoreSettings(SettingsTable):
    """Where incidents are stored."""

    url: str = setting("sqlite:///incidents.sqlite", "sqlite:///FILE or elasticsearch://HOST:PORT")
    exposures_days: Seconds = setting(180.0, "retention of exposures (PIPL 19)", "days")
    incidents_days: Seconds = setting(
        1095.0, "retention of incidents: three years (PIPL 56)", "days"
    )


class CoverageSettings(SettingsTable):
    """The coverage log."""

    zone: str = setting("Asia/Shanghai", "time zone for people; data is in UTC")
    timestamp_url: str = setting("", "time-stamping authority (RFC 3161) for signed days")
    timestamp_ca: str = setting("", "its root certificate (PEM file)")

    @field_validator("zone")
    @classmethod
    def _validate_zone(cls, zone: str) -> str:
        return validate_zone(zone)

    @model_validator(mode="after")
    def _require_authority(self) -> Self:
        if self.timestamp_url and not self.timestamp_ca:
            raise ValueError(
                "timestamp_url needs timestamp_ca: without it nobody can verify the timestamps"
            )
        return self


class OriginalSettings(SettingsTable):
    """Addresses, titles, authors and member names of posts, encrypted for the console."""

    days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        30.0,
        "retention, to find a post again for a takedown or a court; `ullage incidents hold` keeps"
        " longer; 0 stores none",
        "days",
    )


class AuditSettings(SettingsTable):
    """The audit log."""

    days: Annotated[float, Field(ge=183, allow_inf_nan=False)] = setting(
        1095.0,
        "retention: at least six months (Cybersecurity Law 23(3)), three years as processing"
        " records (PIPL 56)",
        "days",
    )
    syslog: str = setting(
        "",
        "receiver of a copy (RFC 5424 over TLS):"
        " syslog://HOST:6514?cafile=ca.crt&certificate=own.pem",
    )


class KeySettings(SettingsTable):
    """Sources of keys besides the folder `keys`, which has one file (0600) per key."""

    command: tuple[str, ...] = setting(
        (), "program that prints a key in hex when run with its name (KMS, Vault)"
    )


class EvidenceSettings(SettingsTable):
    """Encrypted evidence of `high` or above, for tenants with `evidence = true`."""

    officers: tuple[str, ...] = setting((), "the two officers; keys/evidence/NAME.pub")
    days: Seconds = setting(180.0, "retention; `ullage incidents hold` keeps longer", "days")
    max_bytes: Count = setting(
        8 * 2**30, "size limit; evidence beyond it is counted but not stored", "bytes"
    )


class ChannelSettings(SettingsTable):
    """A channel; its secret is keys/notify/NAME."""

    not_here: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("url", "webhook", "address", "to", "token", "secret", "key", "password"),
        (
            "is a secret: put it into the key folder, in the file notify/NAME, with the"
            " address on the first line and the signing key on the second"
        ),
    )
    """Error for a setting that belongs elsewhere."""

    kind: str = setting("webhook", "webhook, dingtalk, wecom, feishu, slack, teams or mail")
    detail: Literal["minimal", "facts"] = setting(
        "minimal",
        "minimal: severity, incident number, the page's address; facts: also counts, scenario and"
        " sites",
    )


class RouteSettings(SettingsTable):
    """An incident takes every matching route."""

    channels: tuple[str, ...] = setting((), "names of channels")
    tenants: tuple[str, ...] = setting((), "only these tenants")
    severity: Severity = setting("medium", "at least this severity")
    scenarios: tuple[str, ...] = setting((), "only these scenarios (X1 …)")
    origins: tuple[str, ...] = setting((), "only these leak sources (ours, partner, …)")
    repeat_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        4.0,
        "repeat unacknowledged high incidents and those with a deadline; 0 never",
        "hours",
    )
    escalate_to: tuple[str, ...] = setting(
        (),
        "channels for what stays unacknowledged; by default the channels above again",
    )
    escalate_minutes: Seconds = setting(
        30.0,
        "longest time without acknowledgement; with a reporting deadline, half of the time left",
        "minutes",
    )


class NotifySettings(SettingsTable):
    """Who is notified; nothing is sent without a route."""

    page: str = setting("", "the console's address as readers reach it")
    group_seconds: Annotated[float, Field(ge=0, le=3600)] = setting(
        20.0, "new incidents of a tenant in this time form one message", "seconds"
    )
    channels: dict[str, ChannelSettings] = setting({}, "one table per channel")
    routes: dict[str, RouteSettings] = setting({}, "one table per route")

    @model_validator(mode="after")
    def _validate_names(self) -> Self:
        for name in (*self.channels, *self.routes):
            if not TENANT.fullmatch(name):
                raise ValueError(
                    f"{quote_word(name)} is not a valid name: use a-z, 0-9 and -, at most 32"
                )
        for name, route in self.routes.items():
            if not route.channels:
                raise ValueError(f"routes.{name} has no channels")
            if unknown := sorted({*route.channels, *route.escalate_to} - {*self.channels}):
                raise ValueError(
                    f"routes.{name} names the channel {quote_word(unknown[0])}: add a table for it"
                )
        return self
