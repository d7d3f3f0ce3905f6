"""Which sites this process crawls: enabled, sound, among those that were named if any were, and held by no other process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.canary_site import CanarySite
from crawlers.scheduling.site_locks import SiteLocks
from crawlers.sites.site import Site, SiteFolder
from ullage import log
from ullage.errors import ConfigError
from ullage.records import INGEST


class SiteList:
    """The sites of `folder` that are ours, read anew at each `read`, and the site of canary posts where there is one."""

    def __init__(
        self, folder: SiteFolder, names: Sequence[str], locks: SiteLocks, canary: CanarySite, metrics: CrawlMetrics
    ) -> None:
        self._folder, self._names, self._locks, self._canary, self._metrics = folder, names, locks, canary, metrics
        self._reported: set[str] = set()
        self.crawled: dict[str, Site] = {}
        """By name, that of canary posts among them."""
        self.watched: tuple[Site, ...] = ()
        """The same without that of canary posts: what is told of in heartbeats and metrics."""

    @property
    def unreadable(self) -> int:
        """How many files held no site when they were last read."""
        return self._folder.unreadable

    def read(self, *, strict: bool, once: bool) -> None:
        """Read the files. Whoever waits for the end (`strict`) is told of a fault by ConfigError; a daemon goes on."""
        sites, faults = self._folder.read()
        self._metrics.site_faults.set(len(faults))
        if strict:
            self._require(sites, faults)
        ours = {name: site for name, site in sites.items() if site.is_crawled and (not self._names or name in self._names)}
        canary = self._canary.site
        if canary:
            ours[canary.name] = canary
        at_start = not self._locks
        elsewhere = self._locks.take(ours)
        if elsewhere and (strict or at_start):
            raise elsewhere[0]
        self._report(*faults, *elsewhere)
        if once and not sites and not ours:
            raise ConfigError(f"no site yet: put NAME.toml into {self._folder.folder}")
        self.crawled = ours
        self.watched = tuple(site for site in ours.values() if site is not canary)
        self._metrics.watch(self.watched)

    def _require(self, sites: dict[str, Site], faults: Iterable[ConfigError]) -> None:
        """ConfigError for a file that cannot be read, and for a name that is no site which is crawled."""
        for fault in faults:
            raise fault
        if unknown := sorted(set(self._names) - set(sites)):
            raise ConfigError(f"no site {unknown[0]} in {self._folder.folder}: `ullage sites` lists what there is")
        if fed := [name for name in self._names if sites[name].platform == INGEST]:
            raise ConfigError(f"site {fed[0]} is not crawled: what is of it comes by `ullage ingest`")

    def _report(self, *faults: ConfigError) -> None:
        """Log why sites are not visited: each fault once, as long as it lasts."""
        said = {str(fault) for fault in faults}
        for fault in sorted(said - self._reported):
            log.get("crawl").error("site_refused", error=fault)
        self._reported = said
