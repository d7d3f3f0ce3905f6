"""Why a site could not be seen, as one word of a closed set: kept with its state, shown by `ullage sites` and `ullage check`.

`docs/site-states.md` has the same list, and a test holds the two together.
"""

from __future__ import annotations

MEANING: dict[str, str] = {
    "dns": "its name does not resolve",
    "refused": "nothing accepts connections there",
    "timeout": "no answer came in time",
    "tls": "it has no certificate that is trusted for its name, or speaks no TLS",
    "network": "the connection broke, or no way leads there",
    "address": "its address is not of the open Internet: if that is meant, say `allow_private = true` in its file",
    "proxy": "the proxy that its file names is not in `crawl.proxies`, does not answer, or does not lead there",
    "onion": "an .onion name leads nowhere without a proxy: name one in its file (`proxy`)",
    "host": "it leads to a host or port that its file does not name: `hosts` may",
    "redirects": "it leads in a circle, nowhere, or on by a meta refresh, which is not followed: `start` may name where",
    "http_4xx": "it answers with an error that it blames on us",
    "http_5xx": "it answers with an error of its own",
    "status": "it answers with a status that says nothing",
    "unavailable": "it asks for rest (503)",
    "robots_error": "its robots.txt cannot be read, so nobody knows what is allowed",
    "robots": "its robots.txt forbids its lists",
    "challenge": "a challenge stands before it",
    "forbidden": "it refuses its lists (403)",
    "busy": "it says that we ask too often (429)",
    "session": "its session (`cookies`) is missing or has run out: a person has to open it again",
    "login": "it asks to log in",
    "layout": "a list that led to posts leads to none",
    "empty": "no list ever led to anything: is `start` a list that guests see? A search may say `may_be_empty`",
    "gone": "the address of a list is gone (404, 410)",
    "parse": "its platform cannot read its pages",
    "script": "scripts that fill its pages do not end within 90 seconds, or lack what they ask for: `hosts` may help",
    "browser": "scripts fill its pages, and no browser can render them here: `ullage check` says what is missing",
    "too_large": "a list or a thread's page is larger than `crawl.download_bytes`: what is behind that is not read",
    "posts_gone": "its lists are read, but what they lead to is gone (404, 410): did its address (`raw`, `thread`) move?",
    "posts_host": "its lists are read, but what they lead to lies on a host or port that its file does not name: `hosts` may",
    "posts_large": "its lists are read, but what they lead to is larger than `crawl.download_bytes`",
    "fewer": "its threads give fewer posts than its lists count, or its pages show more than is read: is `next` right?",
    "partial": "its list says itself that it does not show all (`incomplete`)",
    "links": "a page has more than 10,000 links or 400,000 tags, or a post more than 100 files: the rest is left out",
    "waiting": "pages of it are known and not read yet, since they failed or it asked for rest: `pages due` says how many",
    "fields": "a field that every post had is in none any more",
    "file": "its file in `sites.d` is at fault: `ullage check` lists what is wrong in it",
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
