"""One process at a time crawls a site: it holds the site's lock from when it first takes the site on until it ends."""

from __future__ import annotations

from pathlib import Path

from crawlers.sites.site import Site
from ullage.errors import ConfigError
from ullage.files.lock import hold

FOLDER = "locks"


class SiteLocks:
    """The locks in folder `data`/locks that this process holds; the kernel frees them with the process."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._held: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any is held."""
        return bool(self._held)

    def take(self, sites: dict[str, Site]) -> list[ConfigError]:
        """Lock those of `sites` that are not locked yet; takes out of it what another process has, with an error for each."""
        faults = []
        for name in sites.keys() - self._held.keys():
            try:
                self._held[name] = hold(self._folder / f"{name}.lock", f"site {name} is being crawled")
            except ConfigError as error:
                faults.append(error)
                del sites[name]
        return faults
