"""Scrapy's settings for one visit, from ours and the site's file.

Turned off is what Scrapy has on by itself and we do not want: the remote control (a port that runs any code), the telnet
console, every handler but HTTP and HTTPS, cookies, referrers, its own retries (the frontier's waits are longer and survive a
restart), its duplicate filter and job folder (the frontier again), proxies from the environment (the address guard could not
see behind one), its log (it holds URLs), and its limit of an address (who leased such a page would wait for it for ever). Of
extensions and of middlewares around the spider only those that are named here are there, whatever a new Scrapy brings.
"""

from __future__ import annotations

from typing import Any, Self

from scrapy.settings import Settings

from crawlers.sites.site import Site
from ullage.settings import CrawlSettings

LONGEST_DELAY_SECONDS = 60.0
MOST_REDIRECTS = 5
REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
HANDLER = "crawlers.fetching.address_pin.PinnedHandler"


class OfOneVisit(Settings):
    """Settings of one crawler and of no other: it need not copy them, which took half of its start."""

    def copy(self) -> Self:
        """Itself."""
        return self


def scrapy_settings(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """Everything that differs from Scrapy 2.19's defaults."""
    return {**_LISTENERS_AND_LOGS, **_PARTS, **_limits(crawl), **_pace(crawl, site)}


_LISTENERS_AND_LOGS: dict[str, Any] = {
    "REMOTE_CONTROL_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "EXTENSIONS_BASE": {"scrapy.extensions.throttle.AutoThrottle": 0},
    "STATS_CLASS": "scrapy.statscollectors.DummyStatsCollector",
    "LOG_ENABLED": False,
    "LOG_INSTALL_ROOT_HANDLER": False,
    "STATS_DUMP": False,
    "JOBDIR": None,
    "TWISTED_REACTOR": REACTOR,
}
_PARTS: dict[str, Any] = {
    "DOWNLOAD_HANDLERS": {"file": None, "ftp": None, "s3": None, "data": None, "http": HANDLER, "https": HANDLER},
    "DOWNLOADER_MIDDLEWARES": {
        "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
        "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
        "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,
        "scrapy.downloadermiddlewares.stats.DownloaderStats": None,
        "crawlers.fetching.middlewares.script.ScriptPages": 80,
        "crawlers.fetching.middlewares.address.AddressGuard": 90,
        "crawlers.fetching.middlewares.robots.TimedRobots": 100,
        "crawlers.fetching.session.SessionCookies": 700,
        "crawlers.fetching.middlewares.size.SizeLimit": 950,
    },
    "SPIDER_MIDDLEWARES_BASE": {"scrapy.spidermiddlewares.referer.RefererMiddleware": 700},
    "ITEM_PIPELINES": {
        "crawlers.visiting.pipelines.deduplicate.SeenPipeline": 100,
        "crawlers.visiting.pipelines.publish.PublishPipeline": 900,
    },
    "COOKIES_ENABLED": False,
    "REFERRER_POLICY": "no-referrer",
    "RETRY_ENABLED": False,
    "METAREFRESH_ENABLED": False,
    "HTTPPROXY_ENABLED": False,
    "HTTPERROR_ALLOW_ALL": True,
    "CONCURRENT_ITEMS": 1,  # a page is one item, and Scrapy begins as many tasks for each response
    "DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter",
    "WARN_ON_GENERATOR_RETURN_VALUE": False,  # it reads the spider's source anew for each
    "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue",
}


def _limits(crawl: CrawlSettings) -> dict[str, Any]:
    """How much one page may take of time, bytes and redirects."""
    return {
        "DOWNLOAD_MAXSIZE": crawl.download_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_TIMEOUT": crawl.download_seconds,
        "DNS_TIMEOUT": crawl.download_seconds,
        "REDIRECT_MAX_TIMES": MOST_REDIRECTS,
    }


def _pace(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """How politely the site is read, and under what name."""
    return {
        "USER_AGENT": crawl.user_agent,
        "ROBOTSTXT_OBEY": site.robots,
        "ROBOTSTXT_USER_AGENT": crawl.user_agent,
        "DOWNLOAD_VERIFY_CERTIFICATES": site.verify_certificates,
        "DOWNLOAD_DELAY": site.delay_seconds,
        "CONCURRENT_REQUESTS": site.concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": site.concurrency,
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": site.delay_seconds,
        "AUTOTHROTTLE_MAX_DELAY": max(LONGEST_DELAY_SECONDS, site.delay_seconds),
        "AUTOTHROTTLE_TARGET_CONCURRENCY": float(site.concurrency),
    }
