"""`ullage rules`: list, show, try, use."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from alerts.decisions.checked_text import checked_note
from alerts.decisions.options import By, Reason, Tenant, decider
from alerts.noise.background import BACKGROUND
from alerts.noise.background import Rules as BackgroundRules
from alerts.read.tenants import require_known
from alerts.rules import render
from alerts.rules.dry import MOST_DAYS, USUAL_DAYS, dry_as_json, dry_run
from alerts.rules.kinds import kind_of, known
from alerts.rules.precision import fired, marks, precisions, said
from alerts.rules.trial import try_background, try_lexicon, try_verdict
from alerts.store import configured_store
from ullage.display.screen import AsJson, console, print_list, print_row
from ullage.errors import ConfigError
from ullage.settings import Context
from ullage.vocabulary.lexicon import Lexicon

app = typer.Typer(no_args_is_help=True, help="Rules as data: how precise each has been, and what others would change.")


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False, tenant: Tenant = "") -> None:
    """Every rule with its incidents, and its precision by what analysts confirmed, reported or called false."""
    context: Context = ctx.obj
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        found = precisions(fired(store, tenant), marks(said(store)), context.rules(), BACKGROUND.in_force(context.data).rules)
    print_list(found, as_json=as_json, row=render.precision_as_json, table=render.precision_table, none="")


@app.command()
def show(ctx: typer.Context, kind: Annotated[str, typer.Argument(help="verdict, background, jargon or context.")]) -> None:
    """Print the rules, or the lexicon, of a kind that are in force, as a file to begin with."""
    typer.echo(known(kind).in_force(ctx.obj.data).text, nl=False)


@app.command("try")
def try_(ctx: typer.Context, file: Path, as_json: AsJson = False, tenant: Tenant = "") -> None:
    """Judge everything that is stored by the rules, or the lexicon (.tsv), in a file. Nothing is written."""
    context: Context = ctx.obj
    tried = kind_of(file).kept(file).rules
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        if isinstance(tried, Lexicon):
            trial = try_lexicon(store, tried.rows, tenant)
        elif isinstance(tried, BackgroundRules):
            trial = try_background(store, tried, tenant)
        else:
            trial = try_verdict(store, tried, context.tenant, tenant)
    if as_json:
        print_row(render.trial_as_json(trial))
    else:
        console().print(render.trial_in_full(trial))


@app.command()
def dry(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Background rules; without it those that are in force.")] = None,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="Of posts of the last so many days.")] = USUAL_DAYS,
    as_json: AsJson = False,
    tenant: Tenant = "",
) -> None:
    """Say what background rules would have hidden, rule by rule, with incidents by number. Nothing is written."""
    context: Context = ctx.obj
    rules = (BACKGROUND.kept(file) if file else BACKGROUND.in_force(context.data)).rules
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        found = dry_run(store, rules, context.clock.now() - timedelta(days=days), tenant)
    if as_json:
        print_row(dry_as_json(found))
    else:
        console().print(render.dry_table(found.rules))
        typer.echo(render.dry_in_words(found))


@app.command()
def use(
    ctx: typer.Context,
    file: Path,
    reason: Reason,
    by: By = "",
) -> None:
    """Put the rules, or the lexicon, in a file into force for what comes from now on. Its version must be higher than before.

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
