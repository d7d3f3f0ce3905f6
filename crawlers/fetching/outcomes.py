"""Map the result of a request to an *outcome*: one word of a closed set.

A status, an exception of Scrapy and a refusal of our own all become such a word, which is logged,
counted and stored. `FATES` says what each means for the page: read, gone, later, retried, or given
up; `crawlers.sites.visit_verdict` says what it means for the site. Unknown errors become `network`
and unknown statuses `status`, so no result is without an outcome.
"""

from __future__ import annotations

import email.utils
from enum import Enum

from OpenSSL import SSL
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.http import Response
from service_identity import CertificateError, VerificationError
from twisted.internet.error import ConnectError, ConnectionClosed

from crawlers.fetching import RequestRefusal

DOWNLOAD_ERRORS = (
    CannotResolveHostError, DownloadCancelledError, DownloadConnectionRefusedError,
    DownloadFailedError, DownloadTimeoutError,
    ResponseDataLossError, UnsupportedURLSchemeError, ConnectError, ConnectionClosed, OSError,
)  # fmt: skip
LONGEST_RETRY_AFTER_SECONDS = 86400.0
DEFAULT_RETRY_AFTER_SECONDS = 300.0


class Fate(Enum):
    """What happens to a page next."""

    READ = "read"
    GONE = "gone"
    """Done: there is nothing to read, now or later."""
    LATER = "later"
    """Due again at the next visit, however often."""
    RETRY = "retry"
    """Due again after growing waits, a limited number of times; five in a row end the visit."""
    GIVE_UP = "give_up"


FATES = {
    "ok": Fate.READ,
    "unchanged": Fate.READ,
    "gone": Fate.GONE,
    "robots": Fate.LATER,
    "robots_blocked": Fate.LATER,
    "robots_unavailable": Fate.LATER,
    "robots_unreachable": Fate.LATER,
    "busy": Fate.LATER,
    "unavailable": Fate.RETRY,
    "blocked": Fate.RETRY,
    "forbidden": Fate.RETRY,
    "login": Fate.RETRY,
    "session": Fate.LATER,
    "layout": Fate.RETRY,
    "empty": Fate.RETRY,
    "host": Fate.GIVE_UP,
    "address": Fate.GIVE_UP,
    "too_large": Fate.GIVE_UP,
    "withheld": Fate.GIVE_UP,
    "page": Fate.GIVE_UP,
    "redirects": Fate.RETRY,
    "status": Fate.RETRY,
    "dns": Fate.RETRY,
    "timeout": Fate.RETRY,
    "refused": Fate.RETRY,
    "tls": Fate.RETRY,
    "proxy": Fate.RETRY,
    "network": Fate.RETRY,
    "parse": Fate.RETRY,
    "browser": Fate.LATER,
    "script": Fate.RETRY,
}


FAILURES: dict[type[BaseException], str] = {
    CannotResolveHostError: "dns",
    DownloadConnectionRefusedError: "refused",
    DownloadTimeoutError: "timeout",
}
TLS_ERRORS = (SSL.Error, VerificationError, CertificateError)
RESTS = frozenset({"busy", "unavailable"})
"""Rest is asked for, in seconds: by the site, or with `unavailable` by one page of it, as long
as others are answered.
"""
PASSES = RESTS | {"status", "dns", "timeout", "refused", "tls", "proxy", "network"}
"""What keeps a page from being read for a while: it waits.

All else is said of the page, as that it was made private.
"""
STATUSES = {
    401: "login",
    403: "forbidden",
    404: "gone",
    410: "gone",
    429: "busy",
    503: "unavailable",
}


def to_status_outcome(status: int) -> str:
    """Return the outcome, a word of FATES, of an HTTP status: `ok` for 2xx.

    Otherwise it is the word in STATUSES; without one, `redirects` for 3xx and `status` for the
    rest.
    """
    if 200 <= status < 300:
        return "ok"
    return STATUSES.get(status, "redirects" if 300 <= status < 400 else "status")


def to_error_outcome(error: BaseException | None) -> str:
    """Return the outcome, a word of FATES, of a request that got no usable response.

    A RequestRefusal gives its own reason. Scrapy's IgnoreRequest gives `too_large` if another error
    caused it, else `redirects`. Errors of FAILURES give their word, TLS errors `tls`, and all
    others, None included, `network`.
    """
    if isinstance(error, RequestRefusal):
        return error.reason
    # Scrapy's own: a body that unpacks beyond the limit, or too many redirects
    if isinstance(error, IgnoreRequest):
        return "too_large" if error.__cause__ else "redirects"
    return next(
        (outcome for kind, outcome in FAILURES.items() if isinstance(error, kind)),
        "tls" if is_tls_error(error) else "network",
    )


def is_tls_error(error: BaseException | None) -> bool:
    """Return whether an error, or the error that caused it, has a reason that is a failure of TLS.

    Such reasons are a certificate that is not trusted, and a server without TLS.
    """
    errors = [error, error.__cause__] if error else []
    return any(
        isinstance(why.value, TLS_ERRORS)
        for failure in errors
        for why in getattr(failure, "reasons", ())
    )


def get_retry_after(response: Response, now: float) -> float:
    """Return the seconds that the site asks us to wait, by its header `Retry-After`.

    `now` is in Unix seconds, for a header that holds a date. The result lies between 1 and 86,400;
    it is 300 if the header is missing or invalid.
    """
    text = (response.headers.get("Retry-After") or b"").decode("ascii", "replace").strip()
    if text.isdecimal():
        seconds = float(text[:12])
    else:
        parsed = email.utils.parsedate_tz(text)
        seconds = email.utils.mktime_tz(parsed) - now if parsed else DEFAULT_RETRY_AFTER_SECONDS
    return min(LONGEST_RETRY_AFTER_SECONDS, max(1.0, seconds))
