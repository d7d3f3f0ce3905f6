"""How soon a site is visited again, and how long it takes to read what is left of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crawlers.sites.silence_model import HOUR
from crawlers.sites.site import Site

RATE_HOURS = 6
"""A site's rate is that of so many hours, the one under way among them."""
POSTS_A_VISIT = 5.0
"""New posts that a visit should find."""


def revisit_seconds(site: Site, arrivals: Mapping[int, int], now: float) -> float:
    """Seconds from a visit that read the site to the next, by how many posts came in each of the last hours.

    `revisit_seconds` of the site's file where few come, down to `revisit_min_seconds` where many do.
    """
    this = int(now // HOUR)
    posts = sum(arrivals.get(hour, 0) for hour in range(this - RATE_HOURS + 1, this + 1))
    if not posts:
        return site.revisit_seconds
    seconds = (RATE_HOURS - 1) * HOUR + now - this * HOUR
    return min(site.revisit_seconds, max(site.shortest_revisit, POSTS_A_VISIT * seconds / posts))


def reading_seconds(site: Site, pages: int) -> float:
    """Seconds that so many pages take at the site's own pace, at least: pauses between them, and between the visits they need."""
    visits = max(1, math.ceil(pages / site.max_pages))
    return pages * site.delay_seconds + (visits - 1) * site.revisit_seconds
