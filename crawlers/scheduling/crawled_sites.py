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
    """The locks in folder `data`/locks that this process holds.

    The kernel frees them with the process.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._held: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Return whether any lock is held."""
        return bool(self._held)

    def take(self, sites: dict[str, Site]) -> list[ConfigError]:
        """Lock those of `sites` that this process has not locked yet.

        A site that cannot be locked, as another process crawls it, is removed from `sites`; one
        error is returned for each.
        """
        faults = []
        for name in sites.keys() - self._held.keys():
            try:
                self._held[name] = take_lock(
                    self._folder / f"{name}.lock",
                    f"site {name} is being crawled",
                )
            except ConfigError as error:
                faults.append(error)
                del sites[name]
        return faults


class SiteList:
    """The sites of `folder` that this process crawls, read again at each `read`.

    The site of canary posts is one of them, where it is enabled.
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
        """By name, including the canary site."""
        self.watched: tuple[Site, ...] = ()
        """The same without the canary site: the sites in heartbeats and metrics."""
        self.files: frozenset[str] = frozenset()
        """Names of all sites that have a file, crawled or not."""
        self.unwatched: dict[str, str] = {}
        """Known sites that are not crawled, with the reason as a heartbeat's letter.

        Empty in a process for named sites.
        """

        self.faults: tuple[ConfigError, ...] = ()
        """Faults of the files when last read; of the named sites alone if there are any."""

    @property
    def unreadable(self) -> int:
        """The number of files without a valid site when they were last read."""
        return len(self._folder.refused)

    def read(self, *, strict: bool, once: bool) -> None:
        """Read the site files again, lock the sites to crawl, and update all public attributes.

        A faulty file stops no other site: it is logged and listed in `faults`. With `strict`,
        raises ConfigError for a named site that is missing, faulty or not crawled. With `strict`,
        or while no lock is held yet, also for a site that another process crawls; later such a site
        is left out. With `once`, raises if there is no site at all.
        """
        sites, faults = self._folder.read()
        self._metrics.site_faults.set(len(faults))
        named = [fault for name, fault in self._folder.refused.items() if name in self._names]
        self.faults = tuple(named if self._names else faults)
        if strict:
            self._require_named(sites)
        crawled = {
            name: site
            for name, site in sites.items()
            if site.is_crawled and (not self._names or name in self._names)
        }
        canary = self._canary.site
        if canary:
            crawled[canary.name] = canary
        at_start = not self._locks
        locked_elsewhere = self._locks.take(crawled)
        if locked_elsewhere and (strict or at_start):
            raise locked_elsewhere[0]
        self._report(*faults, *locked_elsewhere)
        if once and not sites and not crawled:
            if faults:
                raise FaultsError.from_errors(faults)
            raise ConfigError(f"no sites yet: add NAME.toml to {self._folder.folder}")
        self.crawled = crawled
        self.watched = tuple(site for site in crawled.values() if site is not canary)
        self._metrics.watch(self.watched)
        refused = {
            name: str(fault)
            for name, fault in self._folder.refused.items()
            if is_valid_name(name) and name not in TAKEN
        }
        self.files = frozenset({*sites, *refused})
        unwatched = {
            name: "g" if "legal_basis" in fault else "f"
            for name, fault in refused.items()
            if name not in sites
        }
        unwatched |= {
            name: "i" if site.enabled else "d"
            for name, site in sites.items()
            if not site.is_crawled
        }
        self.unwatched = {} if self._names else unwatched

    def _require_named(self, sites: dict[str, Site]) -> None:
        """Raise ConfigError for the first named site that cannot be crawled.

        Its file is faulty or missing, or it is fed by ingest. Does nothing where no sites are
        named.
        """
        for name in self._names:
            if name not in sites and name in self._folder.refused:
                raise self._folder.refused[name]
        if unknown := sorted(set(self._names) - set(sites)):
            raise ConfigError(
                f"no site {unknown[0]} in {self._folder.folder}: `ullage sites` lists all"
            )
        if fed := [name for name in self._names if sites[name].platform == INGEST]:
            raise ConfigError(
                f"site {fed[0]} is not crawled: import its posts with `ullage ingest`"
            )

    def _report(self, *faults: ConfigError) -> None:
        """Log why sites are not visited: each fault one time, as long as it lasts."""
        messages = {message for fault in faults for message in list_faults(fault)}
        for fault in sorted(messages - self._reported):
            log.get("crawl").error("site_refused", error=fault)
        self._reported = messages
