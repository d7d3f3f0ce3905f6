"""What a page is when its scripts have run: a browser is handed the page, and whatever it asks for then is asked for by us.

The scripts are of whoever owns the site, or broke into it, and nothing that they want is trusted. They get what `ask` gives
them for a GET of a script or of data, and nothing else: no picture, frame, worker, socket, download or window, no page but the
one in hand, and nothing is written. They run in virtual time, which stands still while an answer is awaited, so that our pace
makes nobody's timer run out. A page is done after `VIRTUAL_SECONDS` of it; one that takes longer than `seconds` of ours, or too
much, is given up.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crawlers.fetching.browser import Browser, BrowserError, running, version
from ullage.settings import CrawlSettings

VIRTUAL_SECONDS = 5.0
SCRIPT_SECONDS = 90.0
"""Time limit of a page's scripts."""
MOST_REQUESTS = 200
"""Of one page."""
LONGEST_PAGE = 8 << 20
"""Characters of a page that are read."""
MOST_AT_ONCE = 2
"""Browsers of a process: each takes some 500 MiB, and a second to start."""
WANTED = {"Script": "script", "XHR": "data", "Fetch": "data"}
"""Kinds of requests that are answered, as DevTools has them, and what each is for us."""
STYLE = "Stylesheet"
"""Of this kind an empty one is given, since many a script waits for it."""
SERIALISE = "(() => {{ const t = document.documentElement.outerHTML; return [t.slice(0, {most}), t.length > {most}] }})()"
Headers = Sequence[tuple[str, str]]


class ScriptError(Exception):
    """A page did not come to an end within its bounds."""


@dataclass(frozen=True, slots=True)
class BrowserResponse:
    """An answer, as the browser gets it; `headers` by name."""

    body: bytes
    headers: Headers = ()
    status: int = 200


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page as it then is."""

    text: str
    is_cut: bool = False
    """Whether it is longer than `LONGEST_PAGE`."""
    leads_on: bool = False
    """Whether its scripts would have gone to another page."""
    would_write: bool = False
    """Whether they asked by anything but GET, which is not done."""


Ask = Callable[[str, str, Mapping[str, str]], Awaitable[BrowserResponse | None]]
"""Gets an address, `script` or `data`, and the request's headers; None where it is not answered."""


@dataclass(frozen=True, slots=True)
class Browsers:
    """The means to render. `program` is Chromium's own, and no wrapper; a page has `seconds` from when it has a browser."""

    program: Path
    seconds: float
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def render(self, url: str, page: BrowserResponse, agent: str, ask: Ask) -> RenderedPage:
        """`page`, which came from `url`, after its scripts, in a browser that nobody had before.

        BrowserError where there is no browser; ScriptError where the page does not come to an end within its bounds.
        """
        async with self.slots, running(self.program) as browser:
            shown = _Page(browser, url, page, ask)
            try:
                async with asyncio.timeout(self.seconds):
                    return await shown.run(agent)
            except (TimeoutError, BrowserError):  # it ran until then: what ended it was the page
                raise ScriptError from None
            finally:
                await shown.end()

    async def version(self) -> str:
        """Which browser there is; BrowserError where there is none that can be used."""
        return await version(self.program)


def browsers_of(crawl: CrawlSettings) -> Browsers:
    """The browser that is configured."""
    return Browsers(Path(crawl.browser), SCRIPT_SECONDS)


class _Page:
    """One page in a browser of its own."""

    def __init__(self, browser: Browser, url: str, page: BrowserResponse, ask: Ask) -> None:
        self._browser, self._url, self._first, self._ask = browser, url, page, ask
        self._target = self._session = ""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_given = self._leads_on = self._would_write = False
        self._requests = 0

    async def run(self, agent: str) -> RenderedPage:
        """Show it, wait for the end of its time, and read it by a context that its own scripts cannot reach."""
        call = self._browser.call
        self._browser.on_event = self._told
        await call("Target.setDiscoverTargets", discover=True)
        await call("Browser.setDownloadBehavior", behavior="deny")
        self._target = (await call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await call("Target.attachToTarget", targetId=self._target, flatten=True))["sessionId"]
        await call("Page.enable", self._session)
        await call("Fetch.enable", self._session, patterns=[{"urlPattern": "*"}])
        await call("Emulation.setUserAgentOverride", self._session, userAgent=agent)
        await call("Emulation.setVirtualTimePolicy", self._session, policy="pause")
        self._do(self._show())
        await self._done
        frame = (await call("Page.getFrameTree", self._session))["frameTree"]["frame"]["id"]
        apart = await call("Page.createIsolatedWorld", self._session, frameId=frame)
        expression, context = SERIALISE.format(most=LONGEST_PAGE), apart["executionContextId"]
        read = await call(
            "Runtime.evaluate", self._session, expression=expression, contextId=context, returnByValue=True, silent=True
        )
        if "value" not in read.get("result", {}):
            raise ScriptError
        text, is_cut = read["result"]["value"]
        return RenderedPage(text, is_cut, self._leads_on, self._would_write)

    async def end(self) -> None:
        """Leave nothing running."""
        self._browser.on_event = lambda *_: None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._fail(None)
        if not self._done.cancelled():
            self._done.exception()  # seen: whoever waited has gone

    async def _show(self) -> None:
        told = await self._browser.call("Page.navigate", self._session, url=self._url)
        if told.get("errorText"):
            self._fail(ScriptError())
        await self._say("Emulation.setVirtualTimePolicy", policy="pauseIfNetworkFetchesPending", budget=VIRTUAL_SECONDS * 1000)

    def _told(self, method: str, session: str, params: dict[str, Any]) -> None:
        """What the browser says by itself."""
        if method == "Fetch.requestPaused" and session == self._session:
            self._do(self._answer(params))
        elif method == "Emulation.virtualTimeBudgetExpired" and session == self._session:
            self._fail(None)
        elif method == "Page.javascriptDialogOpening":
            self._do(self._say("Page.handleJavaScriptDialog", accept=False))
        elif method == "Target.targetCreated" and self._session and params["targetInfo"]["type"] == "page":
            self._do(self._close(params["targetInfo"]["targetId"]))
        elif method in {"Target.targetCrashed", "Inspector.detached"}:
            self._fail(ScriptError())

    async def _answer(self, paused: dict[str, Any]) -> None:
        """Give a request what it is due, or let it fail."""
        request, kind = paused["request"], paused["resourceType"]
        given, why = None, "BlockedByClient"
        if kind == "Document" and paused["frameId"] == self._target:
            given, why = None if self._is_given else self._first, "Aborted"  # with which the page in hand stays
            self._leads_on, self._is_given = self._leads_on or self._is_given, True
        elif kind == STYLE:
            given = BrowserResponse(b"", (("Content-Type", "text/css"),))
        elif kind in WANTED and request["method"] != "GET":
            self._would_write = True
        elif kind in WANTED:
            self._requests += 1
            if self._requests > MOST_REQUESTS:
                self._fail(ScriptError())
                return
            given = await self._ask(request["url"], WANTED[kind], request["headers"])
        if given is None:
            await self._say("Fetch.failRequest", requestId=paused["requestId"], errorReason=why)
            return
        headers = [{"name": name, "value": value} for name, value in given.headers]
        body = base64.b64encode(given.body).decode()
        told = {"requestId": paused["requestId"], "responseCode": given.status, "responseHeaders": headers, "body": body}
        await self._say("Fetch.fulfillRequest", **told)

    async def _close(self, target: str) -> None:
        if target != self._target:
            await self._browser.call("Target.closeTarget", targetId=target)

    async def _say(self, method: str, **params: Any) -> None:
        await self._browser.call(method, self._session, **params)

    def _do(self, act: Coroutine[Any, Any, None]) -> None:
        """Do something beside reading what the browser says."""
        task = asyncio.ensure_future(act)
        self._tasks.add(task)
        task.add_done_callback(self._was_done)

    def _was_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, BrowserError):
            self._fail(error)  # the browser's own refusals are of requests that are over

    def _fail(self, error: BaseException | None) -> None:
        """Let whoever waits go on: to read the page, or to give it up."""
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
