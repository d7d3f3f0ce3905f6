"""`ullage rules`: show, replay, use."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Annotated

import typer

from alerts.decisions.checked_text import checked_note
from alerts.decisions.options import By, Reason, Tenant, decider
from alerts.noise.background import BACKGROUND
from alerts.read.tenants import require_known
from alerts.rules import render
from alerts.rules.kinds import kind_of, known
from alerts.rules.replay import judgements, replay
from alerts.store import configured_store
from ullage.display.screen import AsJson, console, print_row
from ullage.errors import ConfigError
from ullage.settings import Context

app = typer.Typer(no_args_is_help=True, help="Show, replay and change the rules that judge incidents.")


@app.command()
def show(
    ctx: typer.Context, kind: Annotated[str, typer.Argument(help="`verdict`, `background`, `jargon` or `context`.")]
) -> None:
    """Print the rules or lexicon of a kind that are in force, as a file to edit."""
    typer.echo(known(kind).in_force(ctx.obj.data).text, nl=False)


@app.command("replay")
def replay_(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Rules or a lexicon (.tsv); without it the rules in force.")] = None,
    as_json: AsJson = False,
    tenant: Tenant = "",
) -> None:
    """Judge stored incidents by rules, and count each rule's confirmed and false ones. Nothing is written."""
    context: Context = ctx.obj
    in_force = (context.rules, lambda: BACKGROUND.in_force(context.data).rules)
    chosen = [kind_of(file).kept(file).rules] if file else [rules() for rules in in_force]
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        judged = judgements(store)
        for rules in chosen:
            made = replay(store, rules, context.tenant, tenant)
            if as_json:
                print_row(render.replay_as_json(made, made.counts(judged)))
            else:
                console().print(render.replay_in_full(made, made.counts(judged)))


@app.command()
def use(
    ctx: typer.Context,
    file: Path,
    reason: Reason,
    by: By = "",
) -> None:
    """Activate a file of rules or a lexicon for new findings. Its version must be higher than before.

    Alert goes by rules, match by lexicons and rules: where they run on several machines, do it on each.
    """
    context: Context = ctx.obj
    kind = kind_of(file)
    kept, former = kind.kept(file), kind.in_force(context.data).rules.version
    if kept.rules.version <= former:
        raise ConfigError(f"{file} has version {kept.rules.version}; in force is {former}: raise it")
    who, why = decider(context, by, "rules.change").name, checked_note(reason)
    digest = hashlib.sha256(kept.text.encode()).hexdigest()
    what = f"rules {kind.name} version {kept.rules.version} instead of {former}, SHA-256 {digest[:16]}"
    context.trail().append("rules.use", what, actor=who, reason=why)
    typer.echo(f"{kind.name} of version {kept.rules.version} is in {kind.put(context.data, kept.text)}")
    typer.echo("what comes from now on is judged by it; what was judged keeps its reasons until something joins it")
