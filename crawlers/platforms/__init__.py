"""Platforms: what reads the pages of sites, one file each.

A file registers by being here and naming a `PLATFORM`.

A platform knows where its lists are, and what is on a page. It does not fetch, remember or publish:
that is the same for all. What a kind of site software looks like is data, a preset
(`crawlers.sites.presets`): `board` and `feed` read by it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scrapy.http import Response

from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.presets import Presets
from crawlers.sites.site import Site
from ullage.errors import ConfigError
from ullage.files.validation import meant, quoted, shown
from ullage.records import INGEST


class Platform(Protocol):
    """What every file here offers."""

    def check(self, site: Site) -> None:
        """ConfigError when `site.options` is not what this platform needs."""

    def start(self, site: Site) -> Sequence[PageAddress]:
        """The lists that a visit begins with."""

    def parse(self, page: PageAddress, response: Response, site: Site) -> PageContent:
        """The posts on a page that answered 2xx, and the pages that it leads to."""


@dataclass(frozen=True, slots=True)
class OfPreset:
    """A platform that reads as a preset says; `site` has the preset's options under its own."""

    platform: Platform
    site: Site

    def check(self, site: Site) -> None:  # noqa: ARG002 - it is made for one
        """As the platform's."""
        self.platform.check(self.site)

    def start(self, site: Site) -> Sequence[PageAddress]:  # noqa: ARG002
        """As the platform's."""
        return self.platform.start(self.site)

    def parse(self, page: PageAddress, response: Response, site: Site) -> PageContent:  # noqa: ARG002
        """As the platform's."""
        return self.platform.parse(page, response, self.site)


@functools.cache
def names() -> tuple[str, ...]:
    """The platforms that are code."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def named(name: str) -> Platform:
    """The platform of a name of `names`."""
    platform: Platform = importlib.import_module(f"{__name__}.{name}").PLATFORM
    return platform


def platform_of(site: Site, presets: Presets | None = None) -> Platform:
    """The platform of `site`, which has accepted the site's options; ConfigError if there is
    none of that name.
    """
    platform = (
        named(site.platform) if site.platform in names() else _of_preset(site, presets or Presets())
    )
    platform.check(site)
    return platform


def reading_of(site: Site, presets: Presets | None = None) -> Site:
    """`site` with all by which its pages are read, what its preset says among it."""
    return read_as(site, platform_of(site, presets))


def read_as(site: Site, platform: Platform) -> Site:
    """`site` as `platform` reads it."""
    return platform.site if isinstance(platform, OfPreset) else site


def _of_preset(site: Site, presets: Presets) -> Platform:
    try:
        preset = presets.get(site.platform)
    except KeyError:
        known = (*names(), *presets.list_names(), INGEST)
        near = meant(site.platform, known)
        why = f"is not known{near}" if near else f"is none of {', '.join(sorted(known))}"
        raise ConfigError(f"site {site.name}: platform {quoted(site.platform)} {why}") from None
    if preset.unreadable:
        raise ConfigError(f"site {site.name}: platform {site.platform}: {preset.unreadable}")
    return OfPreset(named(preset.platform), preset.apply_to(site))


def no_options(site: Site) -> None:
    """The check of a platform that has no options."""
    if site.options:
        raise ConfigError(
            f"site {site.name}: options.{shown(min(site.options))}: platform {site.platform} has no"
            " options"
        )
