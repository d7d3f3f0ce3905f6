"""Every metric of this stage, in a registry that is passed in. Labels come from site files and closed sets alone."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class CrawlMetrics:
    """What an SRE needs to see that the crawl is not blind: pages by outcome, captures, age of the last success, backlog."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ullage_crawl_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ullage_crawl_{name}", text, labels, registry=registry)

        self.pages = counter("pages_total", "Pages fetched, or tried, by what came of it.", "site", "outcome")
        self.captures = counter("captures_total", "Captures that are durable on the bus.", "site")
        self.seen = counter("seen_posts_total", "Posts met again unchanged, and so not captured.", "site")
        self.truncated = counter("truncated_total", "Captures cut off at the size limit.", "site")
        self.bytes = counter("body_bytes_total", "Bytes of page bodies received.", "site")
        self.visits = counter("visits_total", "Visits by how they ended.", "site", "outcome")
        self.latency = Histogram(
            "ullage_crawl_download_seconds", "Time from request to response headers.", ["site"], registry=registry
        )
        self.last_success = gauge("last_success_timestamp_seconds", "When a visit last succeeded, in Unix seconds.", "site")
        self.watched = gauge("site_watched", "1 where the site's file asks that somebody be told of failures.", "site")
        self.frontier = gauge("frontier_pages", "Pages in the frontier by state, after the last visit.", "site", "state")
        self.expired = counter("expired_unread_total", "Captures that expired before match read them, and are fetched again.")
        self.paused = gauge("paused", "1 while no page is leased because match is too far behind.")
        self.site_faults = gauge("site_file_faults", "Site files that cannot be read.")
