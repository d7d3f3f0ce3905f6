"""The sites of this process, each locked against other processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.canary_site import CanarySite
from crawlers.sites.site import TAKEN, Site, SiteFolder
from ullage import log
from ullage.errors import ConfigError, FaultsError, list_faults
from ullage.files.atomic_write import take_lock
from ullage.records import INGEST
from ullage.records.heartbeat import is_valid_name

FOLDER = "locks"


class SiteLocks:
    """The locks in folder `data`/locks that this process holds; the kernel frees them with the
    process.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._held: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any is held."""
        return bool(self._held)

    def take(self, sites: dict[str, Site]) -> list[ConfigError]:
        """Lock those of `sites` that are not locked yet; takes out of it what another process
        has, with an error for each.
        """
        faults = []
        for name in sites.keys() - self._held.keys():
            try:
                self._held[name] = take_lock(
                    self._folder / f"{name}.lock", f"site {name} is being crawled"
                )
            except ConfigError as error:
                faults.append(error)
                del sites[name]
        return faults


class SiteList:
    """The sites of `folder` that are ours, read anew at each `read`, and the site of canary
    posts where there is one.
    """

    def __init__(
        self,
        folder: SiteFolder,
        names: Sequence[str],
        locks: SiteLocks,
        canary: CanarySite,
        metrics: CrawlMetrics,
    ) -> None:
        self._folder, self._names, self._locks, self._canary, self._metrics = (
            folder,
            names,
            locks,
            canary,
            metrics,
        )
        self._reported: set[str] = set()
        self.crawled: dict[str, Site] = {}
        """By name, that of canary posts among them."""
        self.watched: tuple[Site, ...] = ()
        """The same without that of canary posts: what is told of in heartbeats and metrics."""
        self.files: frozenset[str] = frozenset()
        """Names of all sites that have a file, crawled or not."""
        self.unwatched: dict[str, str] = {}
        """Sites that are known and not crawled, and why, as a letter of a heartbeat; of a
        process for all sites.
        """

        self.faults: tuple[ConfigError, ...] = ()
        """What was wrong with files when they were last read, each with all that is; where names
        were given, with those alone.
        """

    @property
    def unreadable(self) -> int:
        """How many files held no site when they were last read."""
        return len(self._folder.refused)

    def read(self, *, strict: bool, once: bool) -> None:
        """Read the files.

        A faulty one stops nobody else: it is told of in `faults`, in the log and as an unseen site.

        Whoever waits for the end (`strict`) is told by ConfigError that a site that was named is
        none.
        """
        sites, faults = self._folder.read()
        self._metrics.site_faults.set(len(faults))
        named = [fault for name, fault in self._folder.refused.items() if name in self._names]
        self.faults = tuple(named if self._names else faults)
        if strict:
            self._require(sites)
        ours = {
            name: site
            for name, site in sites.items()
            if site.is_crawled and (not self._names or name in self._names)
        }
        canary = self._canary.site
        if canary:
            ours[canary.name] = canary
        at_start = not self._locks
        elsewhere = self._locks.take(ours)
        if elsewhere and (strict or at_start):
            raise elsewhere[0]
        self._report(*faults, *elsewhere)
        if once and not sites and not ours:
            if faults:
                raise FaultsError.from_errors(faults)
            raise ConfigError(f"no site yet: put NAME.toml into {self._folder.folder}")
        self.crawled = ours
        self.watched = tuple(site for site in ours.values() if site is not canary)
        self._metrics.watch(self.watched)
        refused = {
            name: str(fault)
            for name, fault in self._folder.refused.items()
            if is_valid_name(name) and name not in TAKEN
        }
        self.files = frozenset({*sites, *refused})
        apart = {
            name: "g" if "legal_basis" in fault else "f"
            for name, fault in refused.items()
            if name not in sites
        }
        apart |= {
            name: "i" if site.enabled else "d"
            for name, site in sites.items()
            if not site.is_crawled
        }
        self.unwatched = {} if self._names else apart

    def _require(self, sites: dict[str, Site]) -> None:
        """ConfigError for a name that is no site which is crawled."""
        for name in self._names:
            if name not in sites and name in self._folder.refused:
                raise self._folder.refused[name]
        if unknown := sorted(set(self._names) - set(sites)):
            raise ConfigError(
                f"no site {unknown[0]} in {self._folder.folder}: `ullage sites` lists what there is"
            )
        if fed := [name for name in self._names if sites[name].platform == INGEST]:
            raise ConfigError(
                f"site {fed[0]} is not crawled: what is of it comes by `ullage ingest`"
            )

    def _report(self, *faults: ConfigError) -> None:
        """Log why sites are not visited: each fault once, as long as it lasts."""
        said = {message for fault in faults for message in list_faults(fault)}
        for fault in sorted(said - self._reported):
            log.get("crawl").error("site_refused", error=fault)
        self._reported = said
