"""Say by when a person decides whether an incident is confirmed: the same for file, terminal,
page, message and report.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from ullage.display import moment


@dataclass(frozen=True, slots=True)
class Decide:
    """Within how many minutes a person decides whether an incident is confirmed; by when, None
    while nobody was told of it.
    """

    minutes: int
    by: datetime | None = None

    def words(self, now: datetime | None = None, zone: tzinfo | None = None) -> tuple[str, str]:
        """In one line in English and Chinese.

        >>> Decide(60).words()[0]
        'Decide within 60 minutes of notification whether it is confirmed: only then are its reports
        due.'
        """
        if self.by is None:
            hours, minutes = divmod(self.minutes, 60)
            in_hours = hours > 1 and not minutes
            within, zh = (
                (f"{hours} hours", f"{hours}小时")
                if in_hours
                else (f"{self.minutes} minutes", f"{self.minutes}分钟")
            )
            asked, asked_zh = f"Decide within {within} of notification", f"请在获知后{zh}内"
        elif now is not None and now > self.by:
            by = moment(self.by, zone)
            asked, asked_zh = f"Decide now (it was to be by {by})", f"请立即（应于{by}前）"
        else:
            by = moment(self.by, zone)
            asked, asked_zh = f"Decide by {by}", f"请于{by}前"
        return (
            f"{asked} whether it is confirmed: only then are its reports due.",
            f"{asked_zh}判定是否确认：确认后方须按时限报告。",
        )
