"""All of the settings, and how they are read: the file, then the environment."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ullage.errors import ConfigError, FaultsError
from ullage.files.ownership import read_trusted
from ullage.files.validation import faults_of, quoted, read_toml
from ullage.monitoring.canary import TENANT as CANARY
from ullage.settings.environment import merged, read_environment, variable_of
from ullage.settings.knobs import TENANT, Port, knob
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
    """Everything, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    log_level: Literal["debug", "info", "warning", "error"] = knob(
        "info", "debug, info, warning or error"
    )
    second_person: bool = knob(
        True,
        "an act that ends a running reporting deadline waits until a second person with role lead"
        " or dpo confirms it; false for a team of one person, and then check, the incident and the"
        " report say so",
    )
    metrics: bool = knob(True, "serve /metrics, /healthz and /readyz on loopback")
    metrics_ports: dict[str, Port] = knob(
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
    tenants: dict[str, Tenant] = knob({}, "one table a tenant")

    def metrics_port(self, role: str) -> int | None:
        """Where a role or collector serves /metrics on loopback: 0 for any free port, None where
        it serves none.
        """
        return self.metrics_ports.get(role, METRICS_PORTS[role]) if self.metrics else None

    @field_validator("metrics_ports")
    @classmethod
    def _roles(cls, ports: dict[str, int]) -> dict[str, int]:
        if unknown := sorted(ports.keys() - METRICS_PORTS.keys()):
            raise ValueError(f"{quoted(unknown[0])} is no role: use {', '.join(METRICS_PORTS)}")
        return ports

    @field_validator("tenants")
    @classmethod
    def _names(cls, tenants: dict[str, Tenant]) -> dict[str, Tenant]:
        if bad := [name for name in tenants if not TENANT.fullmatch(name)]:
            raise ValueError(f"{quoted(bad[0])} is no tenant name: use a-z, 0-9 and -, at most 32")
        if CANARY in tenants:
            raise ValueError(f"{CANARY!r} is the name of canary posts' own tenant: choose another")
        return tenants

    @model_validator(mode="after")
    def _officers(self) -> Self:
        named = set(self.evidence.officers)
        if any(tenant.evidence for tenant in self.tenants.values()) and (
            len(named) != 2 or len(self.evidence.officers) != 2
        ):
            raise ValueError(
                "a tenant has evidence = true: evidence.officers must name two officers"
            )
        return self


def load(data: Path) -> Settings:
    """The settings of the data folder; ConfigError names the file, the knob and what is wrong with
    it.

    Neither the file nor the folder may be anybody else's to write (`ullage.files.ownership`): a
    program that it names is run.
    """
    file = data / FILE
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file} is no file: move it away and run `ullage init`")
    try:
        content = read_trusted(file)
        if not content.removeprefix(codecs.BOM_UTF8).strip():
            raise ConfigError(f"{file} is empty: restore it, or remove it to go by the defaults")
    except FileNotFoundError:
        content = b""

    try:
        said = read_toml(content.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    try:
        return Settings.model_validate(merged(said, read_environment(Settings, os.environ)))
    except ValidationError as error:
        raise FaultsError(_placed(fault, file) for fault in faults_of(error, Settings)) from None


def _placed(fault: str, file: Path) -> str:
    """A fault with where it is: in a variable, or in the file."""
    knob, _, said = fault.partition(": ")
    variable = variable_of(knob)
    return f"{variable}: {said}" if variable in os.environ else f"{file}: {fault}"
