"""Records of monitoring coverage: what was read of each site in each hour, and why not all was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from alerts.records.document import Document
from ullage.records.heartbeat import DAY_HOURS, ELSEWHERE, SLOTS, UNHEARD, UNWATCHED

DAY_SLOTS = DAY_HOURS * SLOTS
STAYS = {ELSEWHERE, *UNWATCHED}
"""States that continue through slots without a report."""
STAYED = re.compile(f"([{re.escape(''.join(STAYS))}]){re.escape(UNHEARD)}+")


class SiteDay(Document):
    """The coverage of one site or channel on one UTC day.

    Each hour is a cell of one letter, or of one letter for every five minutes; the letters are
    those of `ullage.records.heartbeat`. `before` is the letter that applied when the day began:
    "" for a site that is read, `-` for one that did not exist yet.
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
    """Two times in seconds; 0 if unknown.

    `revisit` is the time between visits, `lives` how long a post can be found on a busy day.
    """

    def slots(self, hour: int) -> str:
        """Return the twelve letters of an hour (0 to 23), one for every five minutes."""
        cell = self.cells[hour]
        return cell * SLOTS if len(cell) == 1 else cell

    def fill_letters(self) -> str:
        """Return the 288 letters of the day, one for every five minutes.

        A state that lasts, such as "switched off", replaces missing reports until the next report.
        """
        letters = "".join([cell * SLOTS if len(cell) == 1 else cell for cell in self.cells])
        filled = STAYED.sub(lambda found: found[1] * len(found[0]), self.before + letters)
        return filled[len(self.before) :]

    def with_hour(self, hour: int, slots: str, posts: int) -> SiteDay:
        """Return a copy whose hour `hour` (0 to 23) has the letters `slots` and the number `posts`.

        `slots` has one letter for each five minutes; twelve equal ones are stored as one.
        """
        cell = slots[0] if slots == slots[0] * SLOTS else slots
        cells = (*self.cells[:hour], cell, *self.cells[hour + 1 :])
        return self.model_copy(
            update={"cells": cells, "posts": (*self.posts[:hour], posts, *self.posts[hour + 1 :])}
        )

    def lasting_state(self) -> str:
        """Return the letter of the state in which the day ends; "" for a site that is read.

        It is a state that lasts without reports, such as "switched off".
        """
        last = (self.before + "".join(self.cells)).rstrip(UNHEARD)[-1:]
        return last if last in STAYS else ""

    def is_over(self) -> bool:
        """Return whether, at the end of the day, this machine no longer reads the site."""
        return self.lasting_state() == ELSEWHERE

    def next_day(self) -> SiteDay:
        """Return the following day without reports, beginning in the state in which this one ends.

        `origin`, `revisit` and `lives` are copied.
        """
        carried = {"origin": self.origin, "revisit": self.revisit, "lives": self.lives}
        return new_day(
            self.site, self.at + timedelta(days=1), before=self.lasting_state()
        ).model_copy(update=carried)


def format_day(at: datetime) -> str:
    """Return the date in UTC of a moment, as `YYYY-MM-DD`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def site_day_id(day: str, site: str) -> str:
    """Return the id of a site's day, `DAY:SITE`; `day` is YYYY-MM-DD."""
    return f"{day}:{site}"


def new_day(site: str, at: datetime, before: str = "") -> SiteDay:
    """Return the site's UTC day that contains the moment `at`, without any reports.

    `before` is the letter that applied when the day began, "" for a site that is read.
    """
    day = format_day(at)
    return SiteDay(
        id=site_day_id(day, site),
        day=day,
        site=site,
        at=datetime.fromisoformat(f"{day}T00:00:00+00:00"),
        before=before,
    )


class GapReason(Document):
    """The reason, given `at` by a person, why `site` was not read from `since` until `until`.

    An empty site stands for all. The reason applies to readers of any of `tenants`, which are
    those of its author; () is for an author who sees all tenants, and applies to all.
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
    """The signed digest of one day's coverage log.

    A later sheet replaces an earlier one if more was reported about the day. `stamp` is the token
    of a time-stamping authority (RFC 3161) on the signature and the signed parts
    (`alerts.coverage.signed_days.serialize_for_stamp`), in base64; `unstamped` says why there is
    none.
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
