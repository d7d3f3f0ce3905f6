"""Say by when a person decides whether an incident is confirmed; the same in all outputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from ullage.display import moment


@dataclass(frozen=True, slots=True)
class Decide:
    """The time for a person to decide whether an incident is confirmed.

    `by` is None while nobody has been notified of it.
    """

    minutes: int
    by: datetime | None = None

    def words(self, now: datetime | None = None, zone: tzinfo | None = None) -> tuple[str, str]:
        """Describe the decision in one line in English and Chinese.

        >>> Decide(60).words()[0].partition(":")[0]
        'Decide within 60 minutes of notification whether it is confirmed'
        """
        if self.by is None:
            hours, minutes = divmod(self.minutes, 60)
            in_hours = hours > 1 and not minutes
            within, zh = (
                (f"{hours} hours", f"{hours}小时")
                if in_hours
                else (f"{self.minutes} minutes", f"{self.minutes}分钟")
            )
            request, request_zh = f"Decide within {within} of notification", f"请在获知后{zh}内"
        elif now is not None and now > self.by:
            by = moment(self.by, zone)
            request, request_zh = f"Decide now (it was to be by {by})", f"请立即（应于{by}前）"
        else:
            by = moment(self.by, zone)
            request, request_zh = f"Decide by {by}", f"请于{by}前"
        return (
            f"{request} whether it is confirmed: only then are its reports due.",
            f"{request_zh}判定是否确认：确认后方须按时限报告。",
        )
