"""Runs a coroutine on Twisted's reactor over asyncio, as Scrapy needs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from scrapy.utils.reactor import install_reactor

from crawlers.fetching.latency import TimedLoop
from crawlers.fetching.scrapy_settings import REACTOR


def drive(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stop: threading.Event) -> None:
    """Run `main` on Twisted's reactor over asyncio until it returns; `stop`, set by a signal, becomes its event."""
    loop = TimedLoop()
    asyncio.set_event_loop(loop)
    install_reactor(REACTOR)
    from twisted.internet import reactor as installed  # noqa: PLC0415 - importing it earlier would install another one

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
