"""`ullage match`, `ullage scan` and `ullage assess`."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matcher import files, screen
from matcher.assess import verdicts
from matcher.match import Document, Matcher
from matcher.metrics import MatchMetrics
from matcher.stage import GROUP, MatchStage, build_matcher, outgoing
from matcher.unpack.outcome import Outcome, unread_in_words
from ullage import keys, log
from ullage.bus import CAPTURES, FINDINGS, Bus
from ullage.clock import Clock
from ullage.dead_letters import DeadLetters
from ullage.errors import ConfigError, UnavailableError
from ullage.metrics import new_registry
from ullage.role import running
from ullage.settings import Context
from ullage.setup import require
from ullage.worker import Worker, WorkerMetrics, reach

Once = Annotated[bool, typer.Option("--once", help="Drain what is due and exit.")]
SECONDS_BETWEEN_EXPIRIES = 300.0


def match(ctx: typer.Context, once: Once = False) -> None:
    """Stage 2: open captures in memory, match them, publish findings."""
    context: Context = ctx.obj
    require(context)
    registry, bus = new_registry("match"), context.bus()
    metrics = MatchMetrics(registry)
    port = None if once or not context.settings.metrics else context.settings.match.port
    with running("match", registry, port) as stop, contextlib.closing(bus):
        opened = reach(
            "match", lambda: (bus.publisher(FINDINGS), _letters(context, bus), bus.subscribe(CAPTURES, GROUP)), stop, once
        )
        if opened is None:
            return
        findings, letters, subscription = opened
        stage = MatchStage(context, subscription, findings, metrics)
        expire = _every(context.clock, SECONDS_BETWEEN_EXPIRIES)

        def alive() -> None:
            try:
                stage.alive()
                if next(expire):
                    bus.expire()
            except UnavailableError as error:  # the loop itself waits for what is down
                log.get("match").warning("upkeep_skipped", error=str(error))

        told = WorkerMetrics(dropped=lambda reason: metrics.dropped.labels(reason).inc(), alive=alive)
        Worker("match", subscription, stage.handle, letters, stop, context.settings.match.batch, metrics=told).run(once)


def _letters(context: Context, bus: Bus) -> DeadLetters:
    return DeadLetters(bus, keys.sealer(context.keys), "match")


def _every(clock: Clock, seconds: float) -> Iterator[bool]:
    """True once in `seconds`, False between."""
    due = clock.monotonic()
    while True:
        now = clock.monotonic()
        yield now >= due
        due = now + seconds if now >= due else due


def scan(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; - for standard input.")],
    alarms: Annotated[bool, typer.Option("--alarms", help="Add lexicon terms (kind lexicon, subject null).")] = False,
) -> None:
    """Match local files now: one JSON object a line. No bus, no store, nothing kept."""
    matcher = _matcher(ctx.obj)
    count, unread = 0, Counter[str]()

    def told(outcome: Outcome) -> None:
        unread[outcome.reason] += 1
        typer.echo(str(outcome), err=True)

    for path in files.files_under(paths):
        for name, capture in files.captures_in(path, ctx.obj.clock.now(), told):
            for row in _rows(matcher, matcher.open(capture), name, alarms=alarms):
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
        if sys.stderr.isatty() and count % 100 == 0:
            typer.echo(f"{count} files", err=True)
    typer.echo(f"{count} files scanned" + unread_in_words(unread), err=True)


def _rows(matcher: Matcher, document: Document, path: str, *, alarms: bool) -> Iterator[dict[str, object]]:
    for result in matcher.match([document]):
        for m in result.matches:
            yield {
                "path": path,
                "start": m.start,
                "end": m.end,
                "kind": m.kind,
                "form": m.form,
                "tenant": result.lists.tenant,
                "subject": m.subject,
                "confidence": m.confidence,
            }
    for hit in document.terms.hits if alarms else ():
        title = len(document.capture.title) + 1
        start, end = document.text.span(hit.start - title, hit.end - title)
        yield {
            "path": path,
            "start": start,
            "end": end,
            "kind": "lexicon",
            "form": "plain",
            "tenant": None,
            "subject": None,
            "confidence": hit.entry.weight * 20,
        }


def assess(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file that somebody sent; - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Make it an incident.")] = False,
) -> None:
    """The verdict on a file, on one screen: real? ours? who? which scam? Nothing of it is kept."""
    context: Context = ctx.obj
    matcher = _matcher(context)
    capture = files.capture_of(file, files.body_of(file), context.clock.now())
    document = matcher.open(capture)
    whole, found = verdicts(context, matcher, document)
    if as_json:
        sys.stdout.write(json.dumps({"rows": whole.rows, "candidates": whole.candidates, "failures": whole.failures,
                                     "fields": whole.field_map, "skeleton": whole.skeleton,
                                     "tenants": [v.as_dict() for v in found]}, ensure_ascii=False, indent=1) + "\n")  # fmt: skip
    else:
        screen.show(Console(width=None if sys.stdout.isatty() else 100), files.shown(Path(file.name)), whole, found)
    if open_:
        named = capture.model_copy(update={"id": secrets.token_hex(16), "site": "assess", "post_id": secrets.token_hex(8)})
        findings = matcher.findings([named], context.clock.now())
        if findings:
            context.bus().publisher(FINDINGS).append([outgoing(finding) for finding in findings])
        typer.echo(f"{len(findings)} finding(s) sent to alert", err=True)


def _matcher(context: Context) -> Matcher:
    matcher = build_matcher(context)
    if not matcher.lists:
        raise ConfigError(f"no watchlist in {context.data}: load one with `ullage watchlist load FILE --tenant NAME`")
    return matcher
