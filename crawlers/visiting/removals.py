"""Tells of posts that are gone: a capture without a text, under the name that the post's own captures have.

The frontier keeps them until that is durable on the bus, so a crash or a bus that is down only tells them later.
"""

from __future__ import annotations

from datetime import UTC, datetime

from crawlers.bus.outbox import new_id
from crawlers.visiting.visit import Visit
from ullage import log
from ullage.errors import UnavailableError
from ullage.records import Capture

AT_ONCE = 500


async def tell_taken(visit: Visit) -> None:
    """Append what `visit` and those before it found gone; what the bus does not take now is told by the next one."""
    site = visit.site
    while taken := visit.frontier.taken(site.name, AT_ONCE):
        try:
            await visit.appends.append(visit.outbox, [_capture(visit, named, at) for named, at in taken])
        except UnavailableError as error:
            log.get("crawl").warning("waiting", site=site.name, error=str(error))
            return
        visit.frontier.told(site.name, taken)


def _capture(visit: Visit, named: bytes, at: float) -> Capture:
    return Capture(
        id=new_id(),
        site=visit.site.name,
        platform=visit.site.platform,
        post_id=named.hex(),
        post_name=named.hex(),
        url="",
        fetched_at=datetime.fromtimestamp(at, UTC),
        category=visit.site.category,
        deleted=True,
        body=b"",
    )
