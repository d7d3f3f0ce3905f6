"""Load the configuration: `ullage.toml` in the data folder, overridden by the environment.

The *data folder* holds everything that one machine keeps: settings, keys, queues, databases. `load`
returns its `Settings`, one frozen model with a table per service; a variable such as
`ULLAGE_SEARCH__PORT` overrides `port` in table `search`. The command line loads them once, puts
them into a `Context` with the folder, keys and clock, and passes that to each command. A wrong
setting raises ConfigError with its name and fault, and never its value. Each setting has a default,
a unit where it has one, and a reason; `ullage config show` prints them all. Secrets are never here:
keys have files of their own (`ullage.security.keys`).
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
