"""`ullage watchlist rotate-key`: rotate a tenant's keys, with a window of two live generations.

Lists are built under the keys of the purpose match: a load fills the new key generation. Facts in
the store are hashed under index keys and cannot be hashed anew without the value, which nobody has.
Facts under the old key expire with `store.exposures_days`, and until then both keys are used
(`alerts.cases.lookups.lookup`, `ullage.lookup.values`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from matcher.watchlist import installation
from ullage.audit import current_user
from ullage.errors import ConfigError
from ullage.lookup import list_index as recorded
from ullage.running_time import DAY_SECONDS
from ullage.security.keys import list_generations
from ullage.settings import Context

Retire = Annotated[
    bool,
    typer.Option(
        "--retire", help="Destroy the older key generation: its key and its customer list."
    ),
]
OfIndex = Annotated[
    bool,
    typer.Option(
        "--index", help=("Apply to the index key, with which people and sellers are searched for.")
    ),
]
Early = Annotated[
    bool,
    typer.Option(
        "--early",
        help=(
            "With --index --retire: destroy the old key now; values hashed with it are"
            " then found only by pseudonym."
        ),
    ),
]


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """One tenant's keys of one purpose, match or index, and the actions on them.

    Each action yields messages to print.
    """

    context: Context
    tenant: str
    purpose: str

    def open(self) -> Iterator[str]:
        """Make the key of a new generation.

        Raises `ConfigError` if the tenant has none yet.
        """
        opened = self._live()[-1] + 1
        self._note(f"{self._called} {opened} is opened")
        self.context.keys.make(self._name(opened))
        if self.purpose == "match":
            yield (
                f"{self.tenant}: created key generation {opened}; load the list again with"
                " it, then run rotate-key --retire"
            )
        else:
            yield (
                f"{self.tenant}: created index key generation {opened}; copy its key to"
                " search, then to match; both keys stay in use"
            )

    def retire(self, *, early: bool = False) -> Iterator[str]:
        """Destroy all keys but the newest, and yield a line for each.

        For customer lists, their lists are removed too; each destruction is recorded in the audit
        log first. `early` allows it for an index key before what needs the old one has expired.
        Raises `ConfigError`, before anything is destroyed, if one is still needed, if there is no
        newer one, or if they are kept elsewhere.
        """
        *old, newest = self._live()
        if self.purpose == "match" and not (
            old and installation.path_of(self.context.data, self.tenant, newest).is_file()
        ):
            raise ConfigError(
                f"tenant {self.tenant} has no newer key generation with a list: run rotate-key,"
                " then load, then rotate-key --retire"
            )
        if self.purpose == "index":
            if not old:
                raise ConfigError(
                    f"tenant {self.tenant} has no newer index key: run rotate-key --index first"
                )
            self._refuse_what_needs_the_old(newest, early=early)
        for number in old:
            if not self.context.keys.exists(self._name(number)):
                raise ConfigError(
                    f"key {self._name(number)} is not a file on this host: destroy it"
                    " where it is stored"
                )
        for number in old:
            self._note(f"{self._called} {number} is destroyed{', early' * early}")
            self.context.keys.destroy(self._name(number))
            if self.purpose == "match":
                installation.remove(self.context.data, self.context.keys, self.tenant, number)
            yield f"{self.tenant}: {self._called} {number} is destroyed"

    def _refuse_what_needs_the_old(self, newest: int, *, early: bool) -> None:
        name, listed = self._name(newest), recorded.path_of(self.context.data, self.tenant)
        if (
            listed.is_file()
            and (key := recorded.VerifiedList(listed, self.context.keys, self.tenant).header.key)
            != name
        ):
            raise ConfigError(
                f"{listed} needs the old key {key}: run `ullage watchlist load --enrolled` first"
            )
        if early:
            return
        if not self.context.keys.exists(name):
            raise ConfigError(
                f"key {name} is not a file on this host, so its age is unknown: use"
                " --early to destroy the old key now"
            )
        # A copy, and a restored backup, count from the day on which they were made: that errs to
        # the safe side.
        since = datetime.fromtimestamp((self.context.keys.root / name).stat().st_ctime, UTC)
        ready = since + timedelta(days=self.context.settings.store.exposures_days)
        reading = self.context.running_time.read()
        if reading.is_suspended:
            raise ConfigError(
                f"how long {name} has been in use is unknown ({reading}):"
                " try again later, or use --early"
            )
        if since not in reading.older(self.context.settings.store.exposures_days * DAY_SECONDS):
            raise ConfigError(
                f"values hashed with the old index key of {self.tenant} are kept"
                f" until {ready:%Y-%m-%d %H:%M} UTC: retire it then, or use"
                " --early, after which they are found only by pseudonym"
            )

    def _live(self) -> list[int]:
        live = list_generations(self.context.keys, self.tenant, self.purpose)
        if not live:
            raise ConfigError(f"tenant {self.tenant} has no key: load its customer list first")
        return live

    @property
    def _called(self) -> str:
        return "key generation" if self.purpose == "match" else "index key generation"

    def _name(self, number: int) -> str:
        return f"{self.tenant}/{self.purpose}-{number}.key"

    def _note(self, what: str) -> None:
        """Write the change of a key to the audit log, before it is made."""
        self.context.trail().append(
            "watchlist.rotate-key", what, actor=current_user(), tenant=self.tenant
        )
