"""What a command works with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ullage.audit import Trail
from ullage.audit.forwarding import find_fault
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, Bus, RoutedBus, open_bus, trust_of_bus
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.inventory import COMMANDS
from ullage.inventory import FOLDER as INVENTORY
from ullage.running_time import RunningTime
from ullage.security.keys import KeyStore, credentials_folder
from ullage.security.tls import Trust
from ullage.settings.root import Settings, load
from ullage.settings.tenant import Tenant
from ullage.verdict import VERDICT, VerdictRules

KEYS = "keys"
"""The folder of keys in the data folder, one file (0600) a key."""
MADE = ("ullage.toml", KEYS, INVENTORY, AUDIT, "bus", "watchlists", "incidents.sqlite")
"""What stands in a data folder, one or another by what runs on its machine."""


class Context:
    """What the command line hands to a command: the data folder, its settings, its keys, the
    clock.
    """

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
        self.keys = KeyStore(data / KEYS, self.settings.keys.command, credentials_folder(), service)
        self.inventory = self.keys.inventory
        """What the data folder ought to hold."""
        self.running_time = RunningTime(data, self.clock, self.inventory)

    def require_data(self) -> None:
        """ConfigError where there is no data folder: of one that was mistyped everything would
        be said to be empty.
        """
        if not any((self.data / name).exists() for name in MADE):
            raise self.not_set_up()

    def not_set_up(self) -> ConfigError:
        """What says that the data folder is none."""
        return ConfigError(
            f"{self.data} is not set up: run `ullage --data {self.data} init`, or name the right"
            " folder"
        )

    def bus(self) -> Bus:
        """Open the configured bus."""
        urls, keep = self.settings.bus, self.settings.bus.retention()
        if not urls.captures:
            return open_bus(urls.url, self.data, keep, self.clock, self.inventory)
        captures = {CAPTURES: keep.pop(CAPTURES)}
        return RoutedBus(
            open_bus(urls.captures, self.data, captures, self.clock, self.inventory),
            open_bus(urls.url, self.data, keep, self.clock, self.inventory),
        )

    def bus_trusts(self) -> tuple[Trust, ...]:
        """Of each configured bus that speaks TLS, whom its client believes and what it shows; no
        file is read.
        """
        urls = filter(None, (self.settings.bus.url, self.settings.bus.captures))
        return tuple(trust for url in urls if (trust := trust_of_bus(url, self.data)) is not None)

    def rules(self) -> VerdictRules:
        """The rules of verdicts that are in force: the house's own, or this version's.

        ConfigError when the former are wrong.
        """
        return VERDICT.in_force(self.data).rules

    def trail(self, chain: str = "command") -> Trail:
        """The audit log of a role that changes something; commands share one chain."""
        return Trail(self.data / AUDIT, chain, self.keys, self.clock, self.settings.audit.days)

    def audit_fault(self) -> str:
        """Return what keeps the audit log from its receiver, "" where nothing does or none is
        configured.
        """
        return find_fault(self.data / AUDIT) if self.settings.audit.syslog else ""

    def tenant(self, name: str) -> Tenant:
        """The tenant's settings; those of an unnamed tenant are the defaults."""
        found = self.settings.tenants.get(name, Tenant())
        return (
            found
            if self.settings.second_person
            else found.model_copy(update={"second_person": False})
        )
