"""Define the whole configuration and load it: the file, then the environment."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ullage.errors import ConfigError, FaultsError
from ullage.files.ownership import read_trusted
from ullage.files.validation import describe_faults, quote_word, read_toml
from ullage.monitoring.canary import TENANT as CANARY
from ullage.settings.environment import merge, read_environment, to_variable
from ullage.settings.knobs import TENANT, Port, setting
from ullage.settings.roles import (
    METRICS_PORTS,
    AlertSettings,
    CanarySettings,
    CrawlSettings,
    IntakeSettings,
    MatchSettings,
    SearchSettings,
)
from ullage.settings.storage import (
    AuditSettings,
    BusSettings,
    CoverageSettings,
    EvidenceSettings,
    KeySettings,
    NotifySettings,
    OriginalSettings,
    StoreSettings,
)
from ullage.settings.tenant import Tenant

FILE = "ullage.toml"
USUAL_PORTS = ", ".join(f"{role} {port}" for role, port in METRICS_PORTS.items())


class Settings(BaseModel):
    """All settings, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "debug, info, warning or error"
    )
    second_person: bool = setting(
        True,
        "an act that ends a running reporting deadline waits until a second person with role lead"
        " or dpo confirms it; false for a team of one person, and then check, the incident and the"
        " report say so",
    )
    metrics: bool = setting(True, "serve /metrics, /healthz and /readyz on loopback")
    metrics_ports: dict[str, Port] = setting(
        {}, f"ports of /metrics by role, instead of {USUAL_PORTS}; 0 takes a free port"
    )
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    coverage: CoverageSettings = CoverageSettings()
    originals: OriginalSettings = OriginalSettings()
    audit: AuditSettings = AuditSettings()
    keys: KeySettings = KeySettings()
    crawl: CrawlSettings = CrawlSettings()
    match: MatchSettings = MatchSettings()
    alert: AlertSettings = AlertSettings()
    search: SearchSettings = SearchSettings()
    intake: IntakeSettings = IntakeSettings()
    canary: CanarySettings = CanarySettings()
    notify: NotifySettings = NotifySettings()
    evidence: EvidenceSettings = EvidenceSettings()
    tenants: dict[str, Tenant] = setting({}, "one table a tenant")

    def metrics_port(self, role: str) -> int | None:
        """Return the loopback port of /metrics for a service or collector.

        0 means any free port; None means that it serves none.
        """
        return self.metrics_ports.get(role, METRICS_PORTS[role]) if self.metrics else None

    @field_validator("metrics_ports")
    @classmethod
    def _validate_roles(cls, ports: dict[str, int]) -> dict[str, int]:
        if unknown := sorted(ports.keys() - METRICS_PORTS.keys()):
            raise ValueError(
                f"{quote_word(unknown[0])} is not a role: use {', '.join(METRICS_PORTS)}"
            )
        return ports

    @field_validator("tenants")
    @classmethod
    def _validate_names(cls, tenants: dict[str, Tenant]) -> dict[str, Tenant]:
        if invalid := [name for name in tenants if not TENANT.fullmatch(name)]:
            raise ValueError(
                f"{quote_word(invalid[0])} is not a valid tenant name: use a-z, 0-9 and -,"
                " at most 32"
            )
        if CANARY in tenants:
            raise ValueError(f"{CANARY!r} is the tenant of canary posts: choose another name")
        return tenants

    @model_validator(mode="after")
    def _require_two_officers(self) -> Self:
        named = set(self.evidence.officers)
        if any(tenant.evidence for tenant in self.tenants.values()) and (
            len(named) != 2 or len(self.evidence.officers) != 2
        ):
            raise ValueError(
                "a tenant has evidence = true: evidence.officers must name two officers"
            )
        return self


def load(data: Path) -> Settings:
    """Return the settings of a data folder: defaults, its `ullage.toml`, then the environment.

    Raises ConfigError, which names the file or variable, the setting and the fault. Nobody else may
    be able to write the file or the folder, because programs that the file names are run. Several
    faults are one FaultsError, which is a ConfigError.
    """
    file = data / FILE
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file} is not a file: move it away and run `ullage init`")
    try:
        content = read_trusted(file)
        if not content.removeprefix(codecs.BOM_UTF8).strip():
            raise ConfigError(f"{file} is empty: restore it, or remove it to use the defaults")
    except FileNotFoundError:
        content = b""

    try:
        tables = read_toml(content.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    try:
        return Settings.model_validate(merge(tables, read_environment(Settings, os.environ)))
    except ValidationError as error:
        raise FaultsError(
            _locate_fault(fault, file) for fault in describe_faults(error, Settings)
        ) from None


def _locate_fault(fault: str, file: Path) -> str:
    """Prefix a fault with its place: an environment variable, or the file."""
    name, _, problem = fault.partition(": ")
    variable = to_variable(name)
    return f"{variable}: {problem}" if variable in os.environ else f"{file}: {fault}"
