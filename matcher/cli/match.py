"""`ullage match`: the stage as a process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Annotated

import typer

from matcher.cli.memory import keep_freed_memory
from matcher.cli.metrics import MatchMetrics
from matcher.cli.relay import is_behind_gap
from matcher.cli.stage import GROUP, MatchStage
from ullage import log
from ullage.bus import CAPTURES, FINDINGS, Bus
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.monitoring.metrics import BUS, new_registry
from ullage.runtime.cutover import Cutover
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand
from ullage.runtime.role import running, surroundings
from ullage.runtime.worker import Worker, WorkerMetrics, reach
from ullage.security import keys
from ullage.settings import Context
from ullage.setup import require

Once = Annotated[bool, typer.Option("--once", help="Drain what is due and exit.")]
SECONDS_BETWEEN_EXPIRIES = 300.0


def match(ctx: typer.Context, once: Once = False) -> None:
    """Stage 2: open captures in memory, match them, publish findings."""
    context: Context = ctx.obj
    require(context)
    keep_freed_memory()
    registry, bus = new_registry("match"), context.bus()
    metrics = MatchMetrics(registry, context.settings.tenants, context.clock, behind_gap=is_behind_gap(context.settings))
    port = None if once or not context.settings.metrics else context.settings.match.port
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(running("match", registry, port))
        stack.enter_context(contextlib.closing(bus))
        opened = reach(
            "match",
            lambda: (
                bus.publisher(FINDINGS),
                _letters(context, bus),
                bus.subscribe(CAPTURES, GROUP),
                Cutover.of(context.data, bus, CAPTURES, GROUP, context.clock.now()),
            ),
            stop,
            once,
            partial(metrics.loop.reached, BUS),
        )
        if opened is None:
            return
        findings, letters, subscription, cutover = opened
        stack.callback(letters.close)
        stack.callback(subscription.close)
        watchdog = context.settings.match.watchdog_seconds
        in_hand = InHand.of(context.data, CAPTURES, GROUP, surroundings(), watchdog, stop)
        stack.callback(in_hand.close)
        stage = MatchStage(context, subscription, findings, metrics, cutover, in_hand.writing)
        expire = _every(context.clock, SECONDS_BETWEEN_EXPIRIES)

        def alive() -> None:
            metrics.loop.turned()
            try:
                stage.alive()
                if next(expire):
                    bus.expire()
            except UnavailableError as error:  # the loop itself waits for what is down
                metrics.loop.reached(BUS, False)
                log.get("match").warning("upkeep_skipped", error=str(error))

        told = WorkerMetrics(dropped=metrics.lost, alive=alive, reached=metrics.loop.reached)
        batch = context.settings.match.batch
        Worker("match", subscription, stage.handle, letters, stop, batch, metrics=told, in_hand=in_hand).run(once)


def _letters(context: Context, bus: Bus) -> DeadLetters:
    return DeadLetters(bus, keys.sealer(context.keys), "match")


def _every(clock: Clock, seconds: float) -> Iterator[bool]:
    """True once in `seconds`, False between."""
    due = clock.monotonic()
    while True:
        now = clock.monotonic()
        yield now >= due
        due = now + seconds if now >= due else due
