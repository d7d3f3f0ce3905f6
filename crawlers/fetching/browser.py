"""Debian's Chromium in a cage, for pages that a script fills: without network, without our files, with little memory.

Bubblewrap gives it namespaces of its own: an empty network, a file system of libraries, fonts and memory, no process beside its
own. Chromium's sandbox is on within. Its debugging pipe is the one way in and out, so whatever a page asks for is answered by
us (`crawlers.fetching.rendering`) or by nobody. When this process ends, however it ends, the kernel ends all of the cage.

It is driven by the DevTools protocol itself. Playwright would start it by a driver of its own, a process of Node that has
network and files, and reads what a hostile page made the browser say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from ullage.errors import UnavailableError

START_SECONDS = 30.0
MEMORY_BYTES = 1 << 30
"""Of data, in each process of the browser."""
DISK_BYTES = 64 << 20
"""Of its profile, which is in memory."""
SHARED_BYTES = 256 << 20
LONGEST_MESSAGE = 64 << 20
CAGE = "bwrap"
HOME = "/tmp"  # noqa: S108 - in the cage, in memory
READS = ("/usr/lib", "/usr/lib64", "/usr/share/fonts", "/usr/share/fontconfig", "/etc/fonts")
"""All that it sees of this machine's files, beside the folder of its program."""
LIMITED = 'ulimit -c 0; ulimit -d "$1"; shift; exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
"""Chromium reads messages from descriptor 3 and writes them to 4."""
NOT_WANTED = (
    "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "HttpsFirstBalancedMode",  # a site is asked as its file has it
    "SpareRendererForSitePerProcess", "InitialWebUI", "WebUIToolbar",  # processes that nobody needs
)  # fmt: skip
"""Features of Chromium."""
SWITCHES = (
    "--headless", "--remote-debugging-pipe", f"--user-data-dir={HOME}/profile", "--no-first-run", "--no-startup-window",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-breakpad", "--disable-crash-reporter", "--disable-gpu", "--mute-audio",
    "--renderer-process-limit=1", f"--disable-features={','.join(NOT_WANTED)}",
    "--block-new-web-contents", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)  # fmt: skip
Event = Callable[[str, str, dict[str, Any]], None]
"""Gets a method, the session that it is of, and its parameters."""


class BrowserError(UnavailableError):
    """The browser is not there, does not start, is gone, or does not do what it was told."""


class Browser:
    """One that runs. `on_event` is told what it says by itself."""

    def __init__(self, process: Process) -> None:
        self._process, self._answers = process, dict[int, asyncio.Future[dict[str, Any]]]()
        self._numbers = itertools.count(1)
        self.on_event: Event = lambda *_: None
        self._reading = asyncio.ensure_future(self._read())

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """What `method` of the DevTools protocol returns; BrowserError where it fails."""
        if self._reading.done() or self._process.stdin is None:
            raise BrowserError("the browser is gone")
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\0")
            await self._process.stdin.drain()
            told = await answer
        except ConnectionError:
            raise BrowserError("the browser is gone") from None
        finally:
            del self._answers[number]
        if "error" in told:
            raise BrowserError(f"the browser refuses {method}")
        result: dict[str, Any] = told["result"]
        return result

    async def _read(self) -> None:
        """Hand on what it says, until it says no more, or more at once than anybody may."""
        assert self._process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            while True:
                said = json.loads((await self._process.stdout.readuntil(b"\0"))[:-1])
                answer = self._answers.get(said.get("id", 0))
                if answer is not None and not answer.done():
                    answer.set_result(said)
                elif "method" in said:
                    self.on_event(said["method"], said.get("sessionId", ""), said.get("params", {}))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BrowserError("the browser is gone"))
        self.on_event("Inspector.detached", "", {})

    async def close(self) -> None:
        """End it, at once and with all that is in the cage."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.wait([self._reading])


@contextlib.asynccontextmanager
async def running(program: Path) -> AsyncIterator[Browser]:
    """A browser, which is ended behind it; BrowserError where there is none, or none that starts in a cage."""
    process = await asyncio.create_subprocess_exec(
        *_words(program), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}, limit=LONGEST_MESSAGE
    )
    browser = Browser(process)
    try:
        try:
            async with asyncio.timeout(START_SECONDS):
                await browser.call("Browser.getVersion")
        except (TimeoutError, BrowserError):
            raise BrowserError(
                f"crawl.browser: {program} does not start in a cage of its own: may this user have user namespaces?"
            ) from None
        yield browser
    finally:
        await browser.close()


async def version(program: Path) -> str:
    """Name and version of the browser, which was started for it."""
    async with running(program) as browser:
        return str((await browser.call("Browser.getVersion"))["product"])


def _words(program: Path) -> list[str]:
    """The command that runs it in its cage."""
    cage = shutil.which(CAGE)
    if not program.is_file():
        raise BrowserError(f"crawl.browser: {program} is not there: install chromium, which renders pages of sites with `script`")
    if cage is None:
        raise BrowserError(f"{CAGE} is not there: install bubblewrap, in whose cage the browser runs for sites with `script`")
    reads = [word for path in (*READS, str(program.parent)) for word in ("--ro-bind-try", path, path)]
    memory = ["--size", str(DISK_BYTES), "--tmpfs", HOME, "--size", str(SHARED_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108 - as is this
    names = ["--unshare-all", "--uid", "1000", "--gid", "1000", "--hostname", "cage", "--clearenv", "--setenv", "HOME", HOME]
    files = ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", *memory]
    caged = [cage, "--die-with-parent", "--new-session", *names, *reads, *files, "--chdir", HOME, "--", str(program), *SWITCHES]
    return ["/bin/sh", "-c", LIMITED, "sh", str(MEMORY_BYTES // 1024), *caged]
