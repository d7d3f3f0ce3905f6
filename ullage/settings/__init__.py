"""One configuration: `ullage.toml` in the data folder, overridden by `ULLAGE_…` variables, then by
command-line options.

Read once, by the command line, and passed down as values. Each knob has a default, a unit where it
has one, and a reason; `ullage config show` prints them all. No secret is ever in here: keys have
files of their own (`ullage.security.keys`).
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
