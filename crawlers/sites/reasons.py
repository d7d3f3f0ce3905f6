"""Reasons why a site could not be read: a closed set, stored with its state and shown by `ullage sites` and `ullage check`.

`docs/site-states.md` has the same list, and a test holds the two together.
"""

from __future__ import annotations

MEANING: dict[str, str] = {
    "dns": "the host name does not resolve",
    "refused": "the connection was refused",
    "timeout": "the site did not respond in time",
    "tls": "the certificate is not trusted for this name, or the site does not support TLS",
    "network": "the connection broke, or there is no route",
    "address": "the address is not public; if intended, set `allow_private = true`",
    "proxy": "the proxy is not in `crawl.proxies`, does not respond, or cannot reach the site",
    "onion": "an .onion name needs a proxy: set `proxy`",
    "host": "it redirects to a host or port that is not in `hosts`",
    "redirects": "it redirects in a circle, nowhere, or by a meta refresh, which is not followed: correct `start`",
    "http_4xx": "it answers with a client error",
    "http_5xx": "it answers with a server error",
    "status": "it answers with an unexpected status",
    "unavailable": "it is temporarily unavailable (503)",
    "robots_error": "robots.txt cannot be fetched, so nothing is allowed",
    "robots": "robots.txt forbids the lists",
    "challenge": "a robot check blocks it",
    "forbidden": "the lists are forbidden (403)",
    "busy": "we send too many requests (429)",
    "session": "the session (`cookies`) is missing or has expired: a person must log in again",
    "login": "it requires a login",
    "layout": "a list that had posts has none now",
    "empty": "no list ever had posts: can guests see `start`? For a search set `may_be_empty`",
    "gone": "a list no longer exists (404, 410)",
    "parse": "the platform cannot parse its pages",
    "script": "its scripts do not finish within 90 seconds, or need a host that is not in `hosts`",
    "browser": "its pages need scripts, and no browser can run here: see `ullage check`",
    "too_large": "a page is larger than `crawl.download_bytes`; the rest is not read",
    "posts_gone": "the lists are read, but their posts no longer exist (404, 410): has their address changed (`raw`, `thread`)?",
    "posts_host": "the lists are read, but their posts are on a host or port that is not in `hosts`",
    "posts_large": "the lists are read, but their posts are larger than `crawl.download_bytes`",
    "fewer": "there are fewer posts than its lists count or its pages show: is `next` correct?",
    "partial": "a list says that it is incomplete (`incomplete`)",
    "links": "a page has over 10,000 links or 400,000 elements, or a post over 100 files; the rest is skipped",
    "waiting": "known pages were not read yet, after errors or a pause: `pages due` counts them",
    "fields": "a field that every post had is missing",
    "file": "its file in `sites.d` is invalid: see `ullage check`",
}
"""Each word, and what it says of the site."""
OF_OUTCOME = {
    "blocked": "challenge",
    "robots_blocked": "challenge",
    "robots_unavailable": "robots_error",
    "robots_unreachable": "robots_error",
}
"""Outcomes whose word is another."""
OF_POST = {"gone": "posts_gone", "host": "posts_host", "too_large": "posts_large"}
"""Outcomes that mean something else behind a list than of one."""


def of_outcome(outcome: str, cause: str = "") -> str:
    """The word for a page's outcome; `cause`, where it is known and of the set, says more."""
    return cause if cause in MEANING else OF_OUTCOME.get(outcome, outcome)


def of_post(outcome: str, cause: str = "") -> str:
    """As `of_outcome`, of a page behind the lists."""
    return OF_POST.get(outcome) or of_outcome(outcome, cause)


def of_status(status: int) -> str:
    """The word for an HTTP status that is an error."""
    return f"http_{status // 100}xx" if 400 <= status < 600 else "status"
