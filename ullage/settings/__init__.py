"""Load the configuration: `ullage.toml` in the data folder, then environment, then options.

Variables are called `ULLAGE_…`. The command line reads the settings once and passes them down as
values. Each setting has a default, a unit where it has one, and an explanation; `ullage config
show` prints them all. Secrets are never here: keys have files of their own
(`ullage.security.keys`).
"""

from ullage.settings.context import Context
from ullage.settings.knobs import LOOPBACK, SITES, TENANT
from ullage.settings.roles import (
    CanarySettings,
    CrawlSettings,
    IntakeSettings,
    MatchSettings,
    SearchSettings,
)
from ullage.settings.root import FILE, Settings, load
from ullage.settings.storage import (
    BusSettings,
    ChannelSettings,
    EvidenceSettings,
    NotifySettings,
    OriginalSettings,
    RouteSettings,
    StoreSettings,
)
from ullage.settings.tenant import Entity, Language, Tenant

__all__ = [
    "FILE",
    "LOOPBACK",
    "SITES",
    "TENANT",
    "BusSettings",
    "CanarySettings",
    "ChannelSettings",
    "Context",
    "CrawlSettings",
    "Entity",
    "EvidenceSettings",
    "IntakeSettings",
    "Language",
    "MatchSettings",
    "NotifySettings",
    "OriginalSettings",
    "RouteSettings",
    "SearchSettings",
    "Settings",
    "StoreSettings",
    "Tenant",
    "load",
]
