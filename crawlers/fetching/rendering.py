"""Run the scripts of a page in a sandboxed Chromium without network.

Bubblewrap gives it namespaces of its own: an empty network, a file system of libraries, fonts and
memory, no process beside its own. Chromium's sandbox is on within. Its debugging pipe is the one
way in and out, so whatever a page asks for is answered by us (`crawlers.fetching.rendering`) or by
nobody. When this process ends, however it ends, the kernel ends all of the cage.

It is driven by the DevTools protocol itself. Playwright would start it by a driver of its own, a
process of Node that has network and files, and reads what a hostile page made the browser say.

The scripts are of whoever owns the site, or broke into it, and nothing that they want is trusted.
They get what `ask` gives them for a GET of a script or of data, and nothing else: no picture,
frame, worker, socket, download or window, no page but the one in hand, and nothing is written. They
run in virtual time, which stands still while an answer is awaited, so that our pace makes nobody's
timer run out. A page is done after `VIRTUAL_SECONDS` of it; one that takes longer than `seconds` of
ours, or too much, is given up.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullage.errors import UnavailableError
from ullage.settings import CrawlSettings

START_SECONDS = 30.0
MEMORY_BYTES = 1 << 30
"""Of data, in each process of the browser."""
DISK_BYTES = 64 << 20
"""Of its profile, which is in memory."""
SHARED_BYTES = 256 << 20
LONGEST_MESSAGE = 64 << 20
EXITED = "crawl.browser: it has exited: give this host more memory if that comes again"
CAGE = "bwrap"
HOME = "/tmp"  # noqa: S108 - in the cage, in memory
READS = ("/usr/lib", "/usr/lib64", "/usr/share/fonts", "/usr/share/fontconfig", "/etc/fonts")
"""All that it sees of this machine's files, beside the folder of its program."""
LIMITED = 'ulimit -c 0; ulimit -d "$1"; shift; exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
"""Chromium reads messages from descriptor 3 and writes them to 4."""
NOT_WANTED = (
    # a site is asked as its file has it
    "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "HttpsFirstBalancedMode",
    "SpareRendererForSitePerProcess", "InitialWebUI", "WebUIToolbar",  # processes that nobody needs
)  # fmt: skip
"""Features of Chromium."""
SWITCHES = (
    "--headless", "--remote-debugging-pipe", f"--user-data-dir={HOME}/profile", "--no-first-run",
    "--no-startup-window",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--disable-extensions", "--disable-breakpad", "--disable-crash-reporter", "--disable-gpu",
    "--mute-audio",
    "--renderer-process-limit=1", f"--disable-features={','.join(NOT_WANTED)}",
    "--block-new-web-contents", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)  # fmt: skip
Event = Callable[[str, str, dict[str, Any]], None]
"""Gets a method, the session that it is of, and its parameters."""


class BrowserError(UnavailableError):
    """The browser is missing, does not start, has ended, or refuses a command."""


class Browser:
    """A running browser; `on_event` receives its events."""

    def __init__(self, process: Process) -> None:
        self._process, self._answers = process, dict[int, asyncio.Future[dict[str, Any]]]()
        self._numbers = itertools.count(1)
        self.on_event: Event = lambda *_: None
        self._reading = asyncio.ensure_future(self._read_messages())

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result.

        `session` is the page to call it on, "" for the browser itself; `params` are the method's
        arguments. Waits without a limit of time. Raises BrowserError if the browser has exited or
        rejects the call.
        """
        if self._reading.done() or self._process.stdin is None:
            raise BrowserError(EXITED)
        number = next(self._numbers)
        message = {
            "id": number,
            "method": method,
            "params": params,
            **({"sessionId": session} if session else {}),
        }
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\0")
            await self._process.stdin.drain()
            reply = await answer
        except ConnectionError:
            raise BrowserError(EXITED) from None
        finally:
            del self._answers[number]
        if "error" in reply:
            raise BrowserError(
                f"crawl.browser: it rejects {method}: install another version of chromium"
            )
        result: dict[str, Any] = reply["result"]
        return result

    async def _read_messages(self) -> None:
        """Pass on replies and events until the browser ends.

        It also ends with a message over LONGEST_MESSAGE (64 MiB) or that is no JSON. Then all calls
        that wait get a BrowserError, and an event "Inspector.detached" is reported.
        """
        assert self._process.stdout is not None
        with contextlib.suppress(
            asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError
        ):
            while True:
                message = json.loads((await self._process.stdout.readuntil(b"\0"))[:-1])
                answer = self._answers.get(message.get("id", 0))
                if answer is not None and not answer.done():
                    answer.set_result(message)
                elif "method" in message:
                    self.on_event(
                        message["method"], message.get("sessionId", ""), message.get("params", {})
                    )
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BrowserError(EXITED))
        self.on_event("Inspector.detached", "", {})

    async def close(self) -> None:
        """Kill the browser and wait until it has exited.

        The sandbox ends with it (`--die-with-parent`). Also cancels the task that reads its
        messages. A browser that has exited already is no error.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.wait([self._reading])


@contextlib.asynccontextmanager
async def start_browser(program: Path) -> AsyncIterator[Browser]:
    """Start a browser in its sandbox, yield it, and end it afterwards.

    Raises BrowserError if the browser or bubblewrap is not installed, or if it does not answer
    within START_SECONDS (30 s).
    """
    process = await asyncio.create_subprocess_exec(
        *_build_command(program),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={},
        limit=LONGEST_MESSAGE,
    )
    browser = Browser(process)
    try:
        try:
            async with asyncio.timeout(START_SECONDS):
                await browser.call("Browser.getVersion")
        except (TimeoutError, BrowserError):
            raise BrowserError(
                f"crawl.browser: {program} does not start in its sandbox: allow this user to"
                " create user namespaces"
            ) from None
        yield browser
    finally:
        await browser.close()


async def get_version(program: Path) -> str:
    """Start the browser and return its name and version."""
    async with start_browser(program) as browser:
        return str((await browser.call("Browser.getVersion"))["product"])


def _build_command(program: Path) -> list[str]:
    """Return the command that runs the browser `program` in its sandbox.

    The sandbox limits memory and disk. Raises BrowserError if `program` is no file or bubblewrap is
    not installed.
    """
    cage = shutil.which(CAGE)
    if not program.is_file():
        raise BrowserError(
            f"crawl.browser: {program} does not exist: install chromium, which renders"
            " pages of sites with `script`"
        )
    if cage is None:
        raise BrowserError(
            f"{CAGE} does not exist: install bubblewrap, which sandboxes the browser for"
            " sites with `script`"
        )
    reads = [
        word for path in (*READS, str(program.parent)) for word in ("--ro-bind-try", path, path)
    ]
    memory = [
        "--size",
        str(DISK_BYTES),
        "--tmpfs",
        HOME,
        "--size",
        str(SHARED_BYTES),
        "--tmpfs",
        "/dev/shm",  # noqa: S108 - as is this
    ]
    names = [
        "--unshare-all",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "cage",
        "--clearenv",
        "--setenv",
        "HOME",
        HOME,
    ]
    files = [
        "--symlink",
        "usr/lib",
        "/lib",
        "--symlink",
        "usr/lib64",
        "/lib64",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *memory,
    ]
    caged = [
        cage,
        "--die-with-parent",
        "--new-session",
        *names,
        *reads,
        *files,
        "--chdir",
        HOME,
        "--",
        str(program),
        *SWITCHES,
    ]
    return ["/bin/sh", "-c", LIMITED, "sh", str(MEMORY_BYTES // 1024), *caged]


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
SERIALISE = (
    "(() => {{ const t = document.documentElement.outerHTML; return [t.slice(0, {most}), t.length >"
    " {most}] }})()"
)
Headers = Sequence[tuple[str, str]]


class ScriptError(Exception):
    """A page did not finish within its limits."""


@dataclass(frozen=True, slots=True)
class BrowserResponse:
    """A response for the browser; `headers` are pairs of name and value."""

    body: bytes
    headers: Headers = ()
    status: int = 200


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page after its scripts ran."""

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
    """Render pages, each in a browser of its own.

    `program` is Chromium itself, not a wrapper script; a page has `seconds` from the start of its
    browser.
    """

    program: Path
    seconds: float
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def render(self, url: str, page: BrowserResponse, agent: str, ask: Ask) -> RenderedPage:
        """Return `page` as it is after its scripts ran in a fresh browser.

        `url` is where it was served. `agent` is the user agent to show, and `ask` fetches what the
        scripts request. Waits for a free browser slot first; that wait has no limit. Raises
        BrowserError if no browser can be started, ScriptError if the page does not finish within
        `seconds` or its limits, or if the browser dies meanwhile.
        """
        async with self.slots, start_browser(self.program) as browser:
            rendering = _Page(browser, url, page, ask)
            try:
                async with asyncio.timeout(self.seconds):
                    return await rendering.run(agent)
            except (TimeoutError, BrowserError):  # it ran until then: what ended it was the page
                raise ScriptError from None
            finally:
                await rendering.end()

    async def get_version(self) -> str:
        """Return the browser's version; raises BrowserError if there is none that can be used."""
        return await get_version(self.program)


def create_browsers(crawl: CrawlSettings) -> Browsers:
    """Return the configured browser."""
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
        """Show the page, let its scripts run for their virtual time, and return its content.

        The content is read in a context that the page's own scripts cannot reach. Raises
        ScriptError if it cannot be read, the tab crashed or the page made too many requests, and
        BrowserError if the browser fails.
        """
        call = self._browser.call
        self._browser.on_event = self._handle_event
        await call("Target.setDiscoverTargets", discover=True)
        await call("Browser.setDownloadBehavior", behavior="deny")
        self._target = (await call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await call("Target.attachToTarget", targetId=self._target, flatten=True))[
            "sessionId"
        ]
        await call("Page.enable", self._session)
        await call("Fetch.enable", self._session, patterns=[{"urlPattern": "*"}])
        await call("Emulation.setUserAgentOverride", self._session, userAgent=agent)
        await call("Emulation.setVirtualTimePolicy", self._session, policy="pause")
        self._start_task(self._show())
        await self._done
        frame = (await call("Page.getFrameTree", self._session))["frameTree"]["frame"]["id"]
        world = await call("Page.createIsolatedWorld", self._session, frameId=frame)
        expression, context = SERIALISE.format(most=LONGEST_PAGE), world["executionContextId"]
        read = await call(
            "Runtime.evaluate",
            self._session,
            expression=expression,
            contextId=context,
            returnByValue=True,
            silent=True,
        )
        if "value" not in read.get("result", {}):
            raise ScriptError
        text, is_cut = read["result"]["value"]
        return RenderedPage(text, is_cut, self._leads_on, self._would_write)

    async def end(self) -> None:
        """Ignore further events, cancel all tasks of the page, and wait until they have ended."""
        self._browser.on_event = lambda *_: None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._finish(None)
        if not self._done.cancelled():
            self._done.exception()  # seen: whoever waited has gone

    async def _show(self) -> None:
        """Navigate to the page and start its virtual time."""
        reply = await self._browser.call("Page.navigate", self._session, url=self._url)
        if reply.get("errorText"):
            self._finish(ScriptError())
        await self._send(
            "Emulation.setVirtualTimePolicy",
            policy="pauseIfNetworkFetchesPending",
            budget=VIRTUAL_SECONDS * 1000,
        )

    def _handle_event(self, method: str, session: str, params: dict[str, Any]) -> None:
        """Act on an event of the browser; unknown events are ignored.

        A request is answered, the end of the virtual time ends the page, dialogs and new tabs are
        closed, and a crash ends the page with ScriptError.
        """
        if method == "Fetch.requestPaused" and session == self._session:
            self._start_task(self._answer(params))
        elif method == "Emulation.virtualTimeBudgetExpired" and session == self._session:
            self._finish(None)
        elif method == "Page.javascriptDialogOpening":
            self._start_task(self._send("Page.handleJavaScriptDialog", accept=False))
        elif (
            method == "Target.targetCreated"
            and self._session
            and params["targetInfo"]["type"] == "page"
        ):
            self._start_task(self._close(params["targetInfo"]["targetId"]))
        elif method in {"Target.targetCrashed", "Inspector.detached"}:
            self._finish(ScriptError())

    async def _answer(self, paused: dict[str, Any]) -> None:
        """Answer a request of the page, or let it fail.

        The page itself is answered once with what was fetched; a later navigation fails and is
        noted as leading elsewhere. Style sheets are answered as empty. Scripts and their GET
        requests are fetched with `ask`; a request with another method fails and is noted. More than
        MOST_REQUESTS (200) end the page with ScriptError. Everything else fails.
        """
        request, kind = paused["request"], paused["resourceType"]
        response, why = None, "BlockedByClient"
        if kind == "Document" and paused["frameId"] == self._target:
            # with which the page in hand stays
            response, why = None if self._is_given else self._first, "Aborted"
            self._leads_on, self._is_given = self._leads_on or self._is_given, True
        elif kind == STYLE:
            response = BrowserResponse(b"", (("Content-Type", "text/css"),))
        elif kind in WANTED and request["method"] != "GET":
            self._would_write = True
        elif kind in WANTED:
            self._requests += 1
            if self._requests > MOST_REQUESTS:
                self._finish(ScriptError())
                return
            response = await self._ask(request["url"], WANTED[kind], request["headers"])
        if response is None:
            await self._send("Fetch.failRequest", requestId=paused["requestId"], errorReason=why)
            return
        headers = [{"name": name, "value": value} for name, value in response.headers]
        body = base64.b64encode(response.body).decode()
        fulfilment = {
            "requestId": paused["requestId"],
            "responseCode": response.status,
            "responseHeaders": headers,
            "body": body,
        }
        await self._send("Fetch.fulfillRequest", **fulfilment)

    async def _close(self, target: str) -> None:
        if target != self._target:
            await self._browser.call("Target.closeTarget", targetId=target)

    async def _send(self, method: str, **params: Any) -> None:
        await self._browser.call(method, self._session, **params)

    def _start_task(self, act: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside the reading of events."""
        task = asyncio.ensure_future(act)
        self._tasks.add(task)
        task.add_done_callback(self._finish_task)

    def _finish_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if (
            not task.cancelled()
            and (error := task.exception())
            and not isinstance(error, BrowserError)
        ):
            self._finish(error)  # the browser's own refusals are of requests that are over

    def _finish(self, error: BaseException | None) -> None:
        """End the wait for the page, with an error or, for None, to read it."""
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
