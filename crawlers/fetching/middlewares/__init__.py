"""What stands between the spider and a site: whom we may ask (address, robots), how much we take (size), scripts (script).

Each refuses with `RequestRefusal` and a word from a closed set; the spider turns that word into what becomes of the page.
"""

from __future__ import annotations

from scrapy.exceptions import IgnoreRequest


class RequestRefusal(IgnoreRequest):
    """A request that is not made, or a response that is not read. `reason` is a metric label.

    `cause` is a word of `crawlers.sites.reasons` that says more, where there is one.
    """

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause
