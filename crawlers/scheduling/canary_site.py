"""The canary site: a small web server on loopback in the crawl process with synthetic posts.

It publishes one at an interval. It is crawled like any site, over HTTP, by the same visit and
pipelines, so a canary post that arrives shows that all of it works. It does not show that the
egress works: see `crawlers.scheduling.egress`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import string
from collections import deque
from dataclasses import dataclass, field

from crawlers.sites.site import Site
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.monitoring.canary import SITE, make_proof, render_post
from ullage.monitoring.loopback import HOST, NOTHING, LoopbackResponse, LoopbackServer
from ullage.security.signing import Signer
from ullage.settings import CanarySettings

KEPT = 20
"""Posts on the list, the newest first."""
REVISIT_SECONDS = 60.0


def make_canary_site(settings: CanarySettings) -> Site:
    """Return the site as a site file would describe it.

    It is visited twice per interval, and at least each minute.
    """
    return Site(
        name=SITE,
        platform="canary",
        start=(f"http://{HOST}:{settings.port}/",),
        revisit_seconds=min(REVISIT_SECONDS, settings.interval_seconds / 2),
        delay_seconds=0.0,
        allow_private=True,
        may_be_empty=True,
        legal_basis="synthetic posts of our own",
        owner="ullage",
    )


@dataclass(slots=True)
class CanarySite:
    """Serves while it is open; `turn` publishes the next post when it is due.

    Without `enabled` there is no site, and nothing happens.
    """

    settings: CanarySettings
    clock: Clock
    signer: Signer
    enabled: bool = True
    _posts: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _due: float = float("-inf")
    _served: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def site(self) -> Site | None:
        """The site to crawl, or None."""
        return make_canary_site(self.settings) if self.enabled else None

    def open(self) -> None:
        """Begin to serve; raise ConfigError when the port is taken."""
        if not self.enabled:
            return
        try:
            self._served.enter_context(
                LoopbackServer("canary", self.settings.port, lambda path, _: self.page(path))
            )
        except OSError as error:
            raise ConfigError(
                f"port {self.settings.port} of the canary site is in use ({error.strerror}):"
                " set canary.port"
            ) from None

    def close(self) -> None:
        """Stop serving."""
        self._served.close()

    def turn(self) -> float:
        """Add a signed post to the canary site if due; return the seconds until the next.

        Returns infinity where no canary site is configured. The site keeps the last KEPT (20)
        posts.
        """
        if not self.enabled:
            return float("inf")
        now = self.clock.monotonic()
        if now >= self._due:
            self._due = now + self.settings.interval_seconds
            name = "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
            published = round(self.clock.wall(), 3)
            signed = render_post(name, make_proof(self.signer, name, published))
            self._posts.appendleft({"id": name, "published": published, "text": signed})
        return self._due - now

    def page(self, path: str) -> LoopbackResponse:
        """Return the response for `path`: the list of posts for `/`, or one post for `/raw/ID`.

        Any other path is not found.
        """
        posts = list(self._posts)
        if path == "/":
            entries = [{"id": post["id"], "published": post["published"]} for post in posts]
            return LoopbackResponse(json.dumps(entries).encode(), "application/json")
        post_ = next((post for post in posts if path == f"/raw/{post['id']}"), None)
        return (
            LoopbackResponse(str(post_["text"]).encode(), "text/plain; charset=utf-8")
            if post_
            else NOTHING
        )
