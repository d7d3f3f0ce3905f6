"""Bundle what a command works with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from ullage.audit import Trail
from ullage.audit.forwarding import find_fault
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, Bus, RoutedBus, open_bus, trust_of_bus
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.inventory import COMMANDS
from ullage.inventory import FOLDER as INVENTORY
from ullage.running_time import RunningTime
from ullage.security.keys import KeyStore, find_credentials_folder
from ullage.security.tls import Trust
from ullage.settings.root import Settings, load
from ullage.settings.tenant import Tenant
from ullage.verdict import VERDICT, VerdictRules

KEYS = "keys"
"""The folder of keys in the data folder, one file (0600) per key."""
MADE = ("ullage.toml", KEYS, INVENTORY, AUDIT, "bus", "watchlists", "incidents.sqlite")
"""Files of a data folder; at least one exists, depending on the services of the machine."""


class Context:
    """What the command line passes to a command: data folder, settings, keys, clock."""

    def __init__(
        self,
        data: Path,
        clock: Clock | None = None,
        settings: Settings | None = None,
        faults: Sequence[str] = (),
        service: str = COMMANDS,
    ) -> None:
        self.data = data
        self.faults = tuple(faults)
        """What is wrong with the configuration, so that `settings` are not what it says; only
        `ullage check` goes on then.
        """
        self.clock = clock or Clock()
        self.settings = settings or load(data)
        self.keys = KeyStore(
            data / KEYS, self.settings.keys.command, find_credentials_folder(), service
        )
        self.inventory = self.keys.inventory
        """The parts that the data folder should contain."""
        self.running_time = RunningTime(data, self.clock, self.inventory)

    def require_data(self) -> None:
        """Raise ConfigError if the data folder is missing or was not set up.

        Otherwise a mistyped folder would be reported as empty.
        """
        if not any((self.data / name).exists() for name in MADE):
            raise self.not_set_up_error()

    def not_set_up_error(self) -> ConfigError:
        """Return the error for a folder that is no data folder."""
        return ConfigError(
            f"{self.data} is not set up: run `ullage --data {self.data} init`, or name the right"
            " folder"
        )

    def bus(self) -> Bus:
        """Return the configured bus; captures may be on another one than the other topics.

        Raises ConfigError if a URL is wrong.
        """
        urls, keep = self.settings.bus, self.settings.bus.retention()
        if not urls.captures:
            return open_bus(urls.url, self.data, keep, self.clock, self.inventory)
        captures = {CAPTURES: keep.pop(CAPTURES)}
        return RoutedBus(
            open_bus(urls.captures, self.data, captures, self.clock, self.inventory),
            open_bus(urls.url, self.data, keep, self.clock, self.inventory),
        )

    def list_bus_trusts(self) -> tuple[Trust, ...]:
        """Return the TLS settings of each configured bus that uses TLS; reads no file.

        Raises ConfigError if a bus has an invalid URL.
        """
        urls = filter(None, (self.settings.bus.url, self.settings.bus.captures))
        return tuple(trust for url in urls if (trust := trust_of_bus(url, self.data)) is not None)

    def rules(self) -> VerdictRules:
        """Return the verdict rules: the organization's own if there are any, else this version's.

        Raises ConfigError if the organization's rules are invalid.
        """
        return VERDICT.load_current(self.data).rules

    def trail(self, chain: str = "command") -> Trail:
        """Return the audit log of a service or, by default, the chain that all commands share."""
        return Trail(self.data / AUDIT, chain, self.keys, self.clock, self.settings.audit.days)

    def find_audit_fault(self) -> str:
        """Return, as text, why audit entries do not reach their receiver.

        "" if they do, or if no receiver is configured.
        """
        return find_fault(self.data / AUDIT) if self.settings.audit.syslog else ""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which commands show and read all times."""
        return ZoneInfo(self.settings.coverage.zone)

    def tenant(self, name: str) -> Tenant:
        """Return the settings of a tenant; defaults if the tenant has no table in the settings.

        A second person is required only if the settings require one in general.
        """
        settings = self.settings.tenants.get(name, Tenant())
        return (
            settings
            if self.settings.second_person
            else settings.model_copy(update={"second_person": False})
        )
