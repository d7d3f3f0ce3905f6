"""Configure Scrapy, its event loop and its logs for one visit.

Scrapy takes the time until its callback for an answer's headers runs. A loop that reads a large
page or begins visits looks at its sockets late, and every site that answered meanwhile would pass
for a slow one, which AutoThrottle then reads more slowly. So here the time runs from the turn of
the loop in which a request goes out to the last look at the sockets that did not show its answer,
or to the moment at which a look that waited for it was woken. It is at most one turn too short, and
never longer for what we do. What it takes to connect counts, as it does in Scrapy.

Turned off is what Scrapy has on by itself and we do not want: the remote control (a port that runs
any code), the telnet console, every handler but HTTP and HTTPS, cookies, referrers, its own retries
(the frontier's waits are longer and survive a restart), its duplicate filter and job folder (the
frontier again), proxies from the environment (the address guard could not see behind one), its log
(it holds URLs), and its limit of an address (who leased such a page would wait for it for ever). Of
extensions and of middlewares around the spider only those that are named here are there, whatever a
new Scrapy brings.

All that is left of such a message is who sent it, how bad it is, and the type of the exception with
it.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self, cast

from scrapy import Request
from scrapy.settings import Settings
from scrapy.utils.reactor import install_reactor
from twisted.logger import LogEvent, LogLevel, globalLogBeginner

from crawlers.sites.site import Site
from ullage import log
from ullage.settings import CrawlSettings

SENT = "ullage_sent"
LATENCY = "download_latency"
"""Scrapy's name in a request's meta, which AutoThrottle reads."""


class Looks(selectors.DefaultSelector):
    """A selector that waits for the sockets of a loop and remembers when; `monotonic` is in
    seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self.returned = self.since = monotonic()
        """When the last look ended, and the earliest moment at which what it found can have
        come.
        """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets and return those that are ready.

        Waits at most `timeout` seconds, for None without a limit. Also stores when it returned, and
        since when the loop has been working (`returned`, `since`).
        """
        ready = super().select(0)
        self.since = self.returned
        if not ready and timeout != 0:
            ready = super().select(timeout)
            self.since = self._monotonic()
        self.returned = self._monotonic()
        return ready


class TimedLoop(asyncio.SelectorEventLoop):
    """An event loop that knows when the events it now handles arrived."""

    def __init__(self, looks: Looks | None = None) -> None:
        self.looks = looks or Looks()
        super().__init__(self.looks)


def note_request(request: Request) -> None:
    """Record when `request` goes out, in the next turn of the loop."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TimedLoop):
        request.meta.pop(SENT, None)
        loop.call_soon(_note_sent, loop, request.meta)


def _note_sent(loop: TimedLoop, meta: dict[str, Any]) -> None:
    meta[SENT] = loop.looks.returned


def correct_latency(request: Request) -> None:
    """Correct the latency of `request`, whose response headers just arrived."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TimedLoop) and (sent := request.meta.get(SENT)) is not None:
        request.meta[LATENCY] = min(
            request.meta.get(LATENCY, 0.0), max(0.0, loop.looks.since - sent)
        )


LONGEST_DELAY_SECONDS = 60.0
MOST_REDIRECTS = 5
REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
HANDLER = "crawlers.fetching.address_pin.PinnedHandler"


class OfOneVisit(Settings):
    """Settings of a single crawler; not copied, since copying took half of a crawler's start."""

    def copy(self) -> Self:
        """Return the same object."""
        return self


def build_settings(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """Return every setting that differs from Scrapy 2.19's defaults."""
    return {**_LISTENERS_AND_LOGS, **_PARTS, **_build_limits(crawl), **_build_pace(crawl, site)}


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
    "DOWNLOAD_HANDLERS": {
        "file": None,
        "ftp": None,
        "s3": None,
        "data": None,
        "http": HANDLER,
        "https": HANDLER,
    },
    "DOWNLOADER_MIDDLEWARES": {
        "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
        "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
        "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,
        "scrapy.downloadermiddlewares.stats.DownloaderStats": None,
        "crawlers.fetching.scripted_pages.ScriptPages": 80,
        "crawlers.fetching.address_guard.AddressGuard": 90,
        "crawlers.fetching.robots.TimedRobots": 100,
        "crawlers.fetching.site_session.SessionCookies": 700,
        "crawlers.fetching.body_limit.SizeLimit": 950,
    },
    "SPIDER_MIDDLEWARES_BASE": {"scrapy.spidermiddlewares.referer.RefererMiddleware": 700},
    "ITEM_PIPELINES": {
        "crawlers.visiting.publish.SeenPipeline": 100,
        "crawlers.visiting.publish.PublishPipeline": 900,
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


def _build_limits(crawl: CrawlSettings) -> dict[str, Any]:
    """Return the limits of time, bytes and redirects per page."""
    return {
        "DOWNLOAD_MAXSIZE": crawl.download_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_TIMEOUT": crawl.download_seconds,
        "DNS_TIMEOUT": crawl.download_seconds,
        "REDIRECT_MAX_TIMES": MOST_REDIRECTS,
    }


def _build_pace(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """Return the settings of politeness and identity."""
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


def run_on_reactor(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stop: threading.Event
) -> None:
    """Run `main` on Twisted's reactor over asyncio until it returns; raise the error of `main`.

    `stop`, which a signal sets, sets the event that `main` receives. Installs the reactor, so it
    can be called only once in a process.
    """
    loop = TimedLoop()
    asyncio.set_event_loop(loop)
    install_reactor(REACTOR)
    # importing it earlier would install another one
    from twisted.internet import reactor as installed  # noqa: PLC0415

    reactor: Any = installed

    stopped = asyncio.Event()
    outcome: list[asyncio.Future[None]] = []

    def begin() -> None:
        task = asyncio.ensure_future(main(stopped))
        outcome.append(task)
        task.add_done_callback(lambda _: reactor.stop())

    def relay() -> None:
        stop.wait()
        loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=relay, name="stop", daemon=True).start()
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    outcome[0].result()


class _TypeOnly(logging.Handler):
    """Reports a record of the standard library's logging without its text, as of `role`."""

    def __init__(self, role: str) -> None:
        super().__init__(logging.WARNING)
        self._role = role

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log.get(self._role).warning(
            "library_warning", reason=record.name, error=kind.__name__ if kind else record.levelname
        )


def _report_twisted(event: LogEvent) -> None:
    """Report an event of Twisted's logging without its text."""
    failure = event.get("log_failure")
    if event.get("log_level", LogLevel.info) >= LogLevel.error:
        kind = getattr(getattr(failure, "type", None), "__name__", "unknown")
        log.get("crawl").warning("library_warning", reason="twisted", error=kind)


def silence_libraries(role: str = "crawl") -> None:
    """Replace every handler of the root logger and of Twisted.

    The new one logs only types of messages, never their text. `role` is the service in whose name
    they are logged. Scrapy and Twisted log errors only. The effect is on the whole process; call it
    one time.
    """
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [_TypeOnly(role)]
    root.setLevel(logging.WARNING)
    for name in ("scrapy", "twisted"):
        logging.getLogger(name).setLevel(logging.ERROR)
    globalLogBeginner.beginLoggingTo(
        [cast("Any", _report_twisted)], redirectStandardIO=False, discardBuffer=True
    )
