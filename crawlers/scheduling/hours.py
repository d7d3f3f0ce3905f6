"""What was seen of each site, by five minutes, gathered until a heartbeat has taken it along to alert's ledger of coverage.

Nothing is told that was not so: a slot gets its letter while the process runs and the bus takes heartbeats, never afterwards, and
when the clock jumps, what was gathered by it and not told yet is thrown away. Where there are more sites than one heartbeat tells
of, those that wait longest go first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ullage import log
from ullage.records.hours import SLOTS, UNHEARD, merged, slot_of

JUMP_SECONDS = 60.0
"""By so much wall time and the time that has passed may differ between two heartbeats."""
NOTHING = UNHEARD * SLOTS
Told = tuple[str, int, str]
"""A site, an hour since 1970, and its slots."""


@dataclass(slots=True)
class HoursSeen:
    """See the module. `known` are sites that were there before this process; what has no file any more is told as gone."""

    known: set[str] = field(default_factory=set)
    _waiting: dict[str, dict[int, str]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)
    _last: tuple[float, float] | None = None

    def note(self, wall: float, monotonic: float, letters: Mapping[str, str], reach: float) -> None:
        """This is how sites are seen now; it holds for the slots since the last note, if that is at most `reach` seconds ago."""
        first = now = slot_of(wall)
        if self._last is not None:
            before, passed = self._last[0], monotonic - self._last[1]
            if abs(wall - before - passed) > JUMP_SECONDS:
                log.get("crawl").warning("clock_jumped", seconds=round(wall - before - passed))
                self._waiting.clear()  # at hours that may not have been
            elif passed <= reach:
                first = min(now, slot_of(before) + 1)
        self._last = wall, monotonic
        for hour, slots in _by_hour(range(first, now + 1)):
            masks = {letter: "".join(letter if n in slots else UNHEARD for n in range(SLOTS)) for letter in set(letters.values())}
            for site, letter in letters.items():
                hours = self._waiting.setdefault(site, {})
                if 0 in slots:
                    hours.setdefault(hour - 1, NOTHING)  # its last posts came after it was told of
                hours[hour] = merged(hours.get(hour, NOTHING), masks[letter])

    def forget(self) -> None:
        """The bus took no heartbeat: nobody may say later that this time was seen."""
        self._waiting.clear()
        self._last = None

    def files(self, names: Collection[str]) -> None:
        """There are files of these sites now."""
        self._gone.update(dict.fromkeys(sorted(self.known - {*names})))
        for name in names:
            self._gone.pop(name, None)
        self.known = {*names}

    def told(self, most: int) -> tuple[list[Told], tuple[str, ...]]:
        """At most so many hours, and as many sites that are gone; they wait until they were `sent`."""
        hours = ((site, hour, slots) for site, waits in self._waiting.items() for hour, slots in sorted(waits.items()))
        return [told for told, _ in zip(hours, range(most), strict=False)], tuple(self._gone)[:most]

    def sent(self, told: Iterable[Told], gone: Iterable[str]) -> None:
        """These are on the bus."""
        for site, hour, _ in told:
            self._waiting[site].pop(hour)
            if not self._waiting[site]:
                del self._waiting[site]
        for site in gone:
            self._gone.pop(site)


def _by_hour(slots: Iterable[int]) -> Iterator[tuple[int, set[int]]]:
    """Slots since 1970 as hours and slots in them."""
    hours: dict[int, set[int]] = {}
    for slot in slots:
        hours.setdefault(slot // SLOTS, set()).add(slot % SLOTS)
    yield from hours.items()
