"""What no write may do to the coverage log, watched from outside at every write of a site's day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alerts.records import SiteDay
from ullage.records.heartbeat import SEEN, UNHEARD


@dataclass
class CoverageWatch:
    """The letters that were written of each day; a line in `broken` for the first that is lost
    again.
    """

    broken: list[str] = field(default_factory=list)
    _written: dict[str, str] = field(default_factory=dict)

    def stand(self, days: Iterable[SiteDay]) -> None:
        """Compare days as the store has them now with what was written before."""
        for day in days:
            letters = "".join(day.slots(hour) for hour in range(24))
            before = self._written.get(day.id, UNHEARD * len(letters))
            lost = sum(
                old != new and (old == SEEN or new == UNHEARD)
                for old, new in zip(before, letters, strict=True)
            )
            if lost and not self.broken:
                self.broken.append(f"the coverage log of {day.id} lost {lost} slots that it had")
            self._written[day.id] = letters
