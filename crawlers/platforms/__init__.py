"""Platforms: what reads the pages of sites, one file each.

A file registers by defining `PLATFORM`. A platform knows where its lists are and what is on a page.
It does not fetch, store or publish: that is the same for all. What a kind of site software looks
like is data, a preset (`crawlers.sites.presets`), which `board` and `feed` read.
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
from ullage.files.validation import quote_word, redact_word, suggest
from ullage.records import INGEST


class Platform(Protocol):
    """The interface of every platform."""

    def check(self, site: Site) -> None:
        """Raise ConfigError if `site.options` do not fit this platform."""

    def start(self, site: Site) -> Sequence[PageAddress]:
        """Return the lists that a visit begins with."""

    def parse(self, page: PageAddress, response: Response, site: Site) -> PageContent:
        """Return the posts on a page that answered 2xx, and the pages it leads to."""


@dataclass(frozen=True, slots=True)
class OfPreset:
    """A platform that reads by a preset; `site` has the preset's options as defaults."""

    platform: Platform
    site: Site

    def check(self, site: Site) -> None:  # noqa: ARG002 - it is made for one
        """Check the site's options together with the preset's."""
        self.platform.check(self.site)

    def start(self, site: Site) -> Sequence[PageAddress]:  # noqa: ARG002
        """Return the lists that a visit begins with."""
        return self.platform.start(self.site)

    def parse(
        self,
        page: PageAddress,
        response: Response,
        site: Site,  # noqa: ARG002
    ) -> PageContent:
        """Return the posts and links of a page."""
        return self.platform.parse(page, response, self.site)


@functools.cache
def list_platforms() -> tuple[str, ...]:
    """Return the names of the platforms that are code."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load_platform(name: str) -> Platform:
    """Return the platform of that name, which `list_platforms` has."""
    platform: Platform = importlib.import_module(f"{__name__}.{name}").PLATFORM
    return platform


def find_platform(site: Site, presets: Presets | None = None) -> Platform:
    """Return the platform of `site`, after it accepted the site's options.

    Raises ConfigError if there is none of that name.
    """
    platform = (
        load_platform(site.platform)
        if site.platform in list_platforms()
        else _find_preset_platform(site, presets or Presets())
    )
    platform.check(site)
    return platform


def resolve_site(site: Site, presets: Presets | None = None) -> Site:
    """Return `site` with all settings by which its pages are read, those of its preset included.

    Raises ConfigError if its platform is unknown or refuses its options.
    """
    return with_preset_options(site, find_platform(site, presets))


def with_preset_options(site: Site, platform: Platform) -> Site:
    """Return `site` with the options of the preset that `platform` reads by, if any."""
    return platform.site if isinstance(platform, OfPreset) else site


def _find_preset_platform(site: Site, presets: Presets) -> Platform:
    """Return the platform that reads by the preset of `site`.

    Raises ConfigError if there is none, or its preset is unreadable.
    """
    try:
        preset = presets.get(site.platform)
    except KeyError:
        platforms = (*list_platforms(), *presets.list_names(), INGEST)
        near = suggest(site.platform, platforms)
        why = f"is unknown{near}" if near else f"must be one of {', '.join(sorted(platforms))}"
        raise ConfigError(f"site {site.name}: platform {quote_word(site.platform)} {why}") from None
    if preset.unreadable:
        raise ConfigError(f"site {site.name}: platform {site.platform}: {preset.unreadable}")
    return OfPreset(load_platform(preset.platform), preset.apply_to(site))


def reject_options(site: Site) -> None:
    """Raise ConfigError if a site has options, for a platform that has none."""
    if site.options:
        raise ConfigError(
            f"site {site.name}: options.{redact_word(min(site.options))}: platform {site.platform}"
            " has no options: remove it"
        )
