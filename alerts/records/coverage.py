"""The ledger of coverage: what was seen of each site in each hour, why the rest was not, and
that nobody changed it later.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from alerts.records.document import Document
from ullage.records.heartbeat import DAY_HOURS, ELSEWHERE, SLOTS, UNHEARD, UNWATCHED

DAY_SLOTS = DAY_HOURS * SLOTS
STAYS = {ELSEWHERE, *UNWATCHED}
"""What a slot without a word takes over from the one before it."""
STAYED = re.compile(f"([{re.escape(''.join(STAYS))}]){re.escape(UNHEARD)}+")


class SiteDay(Document):
    """One site or channel on one day of UTC: a cell an hour, of one letter or of one for every five
    minutes.

    See `ullage.records.heartbeat`. `before` is what held when the day began, "" where the site was
    to be read: `-` of a site that was not there yet.
    """

    columns = ("day", "site")

    day: str
    site: str
    at: datetime
    """When the day begins."""
    origin: str = ""
    before: str = ""
    cells: Annotated[tuple[str, ...], Field(min_length=DAY_HOURS, max_length=DAY_HOURS)] = (
        UNHEARD,
    ) * DAY_HOURS
    posts: Annotated[tuple[int, ...], Field(min_length=DAY_HOURS, max_length=DAY_HOURS)] = (
        0,
    ) * DAY_HOURS
    revisit: int = 0
    lives: int = 0
    """Seconds between visits, and for which a post could be found on a busy day; 0 for not
    known.
    """

    def slots(self, hour: int) -> str:
        """The letters of an hour as they were told."""
        cell = self.cells[hour]
        return cell * SLOTS if len(cell) == 1 else cell

    def told(self) -> str:
        """All letters of the day, with what stays as it was until somebody says otherwise."""
        letters = "".join([cell * SLOTS if len(cell) == 1 else cell for cell in self.cells])
        held = STAYED.sub(lambda found: found[1] * len(found[0]), self.before + letters)
        return held[len(self.before) :]

    def changed(self, hour: int, slots: str, posts: int) -> SiteDay:
        """The same with one hour told anew."""
        cell = slots[0] if slots == slots[0] * SLOTS else slots
        cells = (*self.cells[:hour], cell, *self.cells[hour + 1 :])
        return self.model_copy(
            update={"cells": cells, "posts": (*self.posts[:hour], posts, *self.posts[hour + 1 :])}
        )

    def stays(self) -> str:
        """What holds on the day after until somebody says otherwise; "" of a site that is to be
        read.
        """
        last = (self.before + "".join(self.cells)).rstrip(UNHEARD)[-1:]
        return last if last in STAYS else ""

    def is_over(self) -> bool:
        """Whether nothing is to be expected of the site any more."""
        return self.stays() == ELSEWHERE

    def next_day(self) -> SiteDay:
        """The day after, of which nothing is told yet."""
        kept = {"origin": self.origin, "revisit": self.revisit, "lives": self.lives}
        return new_day(self.site, self.at + timedelta(days=1), before=self.stays()).model_copy(
            update=kept
        )


def day_of(at: datetime) -> str:
    """The day of UTC that a moment lies in."""
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def day_id(day: str, site: str) -> str:
    """The id of a site's day."""
    return f"{day}:{site}"


def new_day(site: str, at: datetime, before: str = "") -> SiteDay:
    """The day of `at`, of which nothing is told yet."""
    day = day_of(at)
    return SiteDay(
        id=day_id(day, site),
        day=day,
        site=site,
        at=datetime.fromisoformat(f"{day}T00:00:00+00:00"),
        before=before,
    )


class GapReason(Document):
    """Why nothing was seen of `site`, "" for all, from `since` until before `until`; somebody said
    so `at`.

    It is for those who see one of `tenants`, which are those of whoever said so; () for somebody
    who sees all, and then for all.
    """

    columns = ("site",)
    time = "until"
    seen_at_once = True

    site: str
    since: datetime
    until: datetime
    at: datetime
    by: str
    reason: str
    tenants: tuple[str, ...] = ()


class DaySheet(Document):
    """That the ledger of a day was as its digest says when alert signed it; a later one counts
    where more was heard of the day.

    `stamp` is the token of a time-stamping authority (RFC 3161) on `signed`, in base64; `unstamped`
    says why there is none.
    """

    columns = ("day",)
    time = "at"

    day: str
    at: datetime
    sites: int
    digest: str
    signer: str
    signature: str
    stamp: str = ""
    stamped_at: datetime | None = None
    unstamped: str = ""
