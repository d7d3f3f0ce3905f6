"""Detect whether the egress works, from the sites themselves and from a probe if configured.

When nearly all sites cannot be reached at once, the fault is not theirs: there is one fault, and
one alert. While the egress is down no site is blamed and no silence counts. The probe connects to
an address that answers whenever the egress works.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from dataclasses import dataclass, field

LEAST_SITES = 3
"""Fewer sites cannot show whether the egress works."""
NEARLY_ALL = 0.9
BACK = 2
"""Different sites that must answer again: a single one may be local."""
PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Look:
    """The last visit to a site, in Unix seconds.

    `failing_since` is since when visits fail without a break, None after an answer.
    """

    at: float
    failing_since: float | None


@dataclass(slots=True)
class Egress:
    """The state of the egress according to the last visits; `total` sites are crawled here."""

    total: int = 0
    down_since: float | None = None
    probe_failed: bool = False
    _looks: dict[str, _Look] = field(default_factory=dict)
    _back: set[str] = field(default_factory=set)

    @property
    def up(self) -> bool:
        """Whether the egress works."""
        return self.down_since is None

    @property
    def can_tell(self) -> bool:
        """Whether there are enough sites to tell a fault of one site from one of the egress."""
        return self.total >= LEAST_SITES

    def note(self, site: str, answered: bool, now: float) -> None:
        """Record the end of a visit to `site` at `now` (Unix seconds), and update `down_since`.

        `answered` is whether any response arrived.
        """
        before = self._looks.get(site)
        since = (
            None
            if answered
            else (before.failing_since if before and before.failing_since is not None else now)
        )
        self._looks[site] = _Look(now, since)
        if answered and not self.up:
            self._back.add(site)
        self._update(now)

    def probed(self, reached: bool, now: float) -> None:
        """Record whether the probe reached its address, and update `down_since`.

        A failed probe alone means that the egress is down. `now` is in Unix seconds.
        """
        self.probe_failed = not reached
        self._update(now)

    def failing(self) -> list[str]:
        """List, by name, the sites whose last recorded visit got no answer."""
        return sorted(name for name, look in self._looks.items() if look.failing_since is not None)

    def _update(self, now: float) -> None:
        began = self._find_outage_start()
        if self.probe_failed or (began is not None and len(self._back) < BACK):
            if self.up:
                self.down_since, self._back = (now if began is None else began), set()
        elif not self.up:
            self.down_since, self._back = None, set()
            self._looks = {
                name: look for name, look in self._looks.items() if look.failing_since is None
            }

    def _find_outage_start(self) -> float | None:
        """Return since when the egress seems to be down, in Unix seconds; None if it does not.

        It is down when NEARLY_ALL (nine tenths) of the sites visited last fail; of these, half of
        all sites, but at least LEAST_SITES (3), are needed. A site that was dead before counts as
        failing, but does not determine the beginning.
        """
        half = max(LEAST_SITES, math.ceil(self.total / 2))
        latest = heapq.nlargest(half, self._looks.values(), key=lambda look: look.at)
        failing = [look.failing_since for look in latest if look.failing_since is not None]
        if len(latest) < half or len(failing) < NEARLY_ALL * half:
            return None
        answered = sorted(look.at for look in self._looks.values() if look.failing_since is None)
        before = answered[-BACK] if len(answered) >= BACK else float("-inf")
        return min((since for since in failing if since > before), default=latest[-1].at)


async def is_reachable(address: str) -> bool:
    """Return whether `address` (HOST:PORT) accepts a connection within `PROBE_SECONDS` (5 s).

    A malformed port raises ValueError.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError, OverflowError, UnicodeError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
