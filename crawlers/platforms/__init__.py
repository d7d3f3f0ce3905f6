"""Platforms: the software that sites run on, one file each. A file registers by being here and naming a `PLATFORM`.

A platform knows where its lists are, and what is on a page. It does not fetch, remember or publish: that is the same for all.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol

from scrapy.http import Response

from crawlers.sites.pages import Page, Parsed
from crawlers.sites.site import Site
from ullage.errors import ConfigError
from ullage.records import INGEST


class Platform(Protocol):
    """What every file here offers."""

    def check(self, site: Site) -> None:
        """ConfigError when `site.options` is not what this platform needs."""

    def start(self, site: Site) -> Sequence[Page]:
        """The lists that a visit begins with."""

    def parse(self, page: Page, response: Response, site: Site) -> Parsed:
        """The posts on a page that answered 2xx, and the pages that it leads to."""


@functools.cache
def names() -> tuple[str, ...]:
    """The platforms that there are."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def platform_of(site: Site) -> Platform:
    """The platform of `site`, which has accepted the site's options; ConfigError if there is none of that name."""
    if site.platform not in names():
        raise ConfigError(f"site {site.name}: platform {site.platform!r} is none of {', '.join(names())} and {INGEST}")
    platform: Platform = importlib.import_module(f"{__name__}.{site.platform}").PLATFORM
    platform.check(site)
    return platform


def no_options(site: Site) -> None:
    """The check of a platform that has no options."""
    if site.options:
        raise ConfigError(f"site {site.name}: options.{min(site.options)}: platform {site.platform} has no options")
