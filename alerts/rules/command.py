"""`ullage rules`: list, show, try, use."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from alerts.noise.background import Rules as BackgroundRules
from alerts.rules import shown
from alerts.rules.kept import Kind, background_in_force, file_of, in_force, put, read, text_of
from alerts.rules.precision import precisions
from alerts.rules.trial import try_background, try_lexicon, try_verdict
from alerts.screen import console
from alerts.store import configured_store
from alerts.typed import checked_name, checked_note
from ullage.audit import current_user
from ullage.errors import ConfigError
from ullage.lexicon import rows
from ullage.settings import Context

app = typer.Typer(no_args_is_help=True, help="Rules as data: how precise each has been, and what others would change.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON.")]
Tenant = Annotated[str, typer.Option(help="Of this tenant alone.")]


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False, tenant: Tenant = "") -> None:
    """Every rule with its incidents, and its precision by what analysts confirmed, reported or called false."""
    context: Context = ctx.obj
    with contextlib.closing(configured_store(context)) as store:
        found = precisions(store, context.rules(), background_in_force(context.data), tenant)
    if as_json:
        for rule in found:
            typer.echo(json.dumps(shown.precision_as_json(rule), ensure_ascii=False))
        return
    console().print(shown.precision_table(found))


@app.command()
def show(ctx: typer.Context, kind: Annotated[str, typer.Argument(help="verdict or background.")]) -> None:
    """Print the rules of a kind that are in force, as a file to begin with."""
    context: Context = ctx.obj
    known: dict[str, Kind] = {"verdict": "verdict", "background": "background"}
    if kind not in known:
        raise ConfigError("rules are of kind verdict or background")
    typer.echo(in_force(context.data, known[kind]).text, nl=False)


@app.command("try")
def try_(ctx: typer.Context, file: Path, as_json: AsJson = False, tenant: Tenant = "") -> None:
    """Judge everything that is stored by the rules, or the lexicon (.tsv), in a file. Nothing is written."""
    context: Context = ctx.obj
    tried = list(rows(text_of(file), str(file))) if file.suffix == ".tsv" else read(file).rules
    with contextlib.closing(configured_store(context)) as store:
        if isinstance(tried, list):
            trial = try_lexicon(store, tried, tenant)
        elif isinstance(tried, BackgroundRules):
            trial = try_background(store, tried, tenant)
        else:
            trial = try_verdict(store, tried, context.tenant, tenant)
    if as_json:
        typer.echo(json.dumps(shown.trial_as_json(trial), ensure_ascii=False))
    else:
        console().print(shown.trial_in_full(trial))


@app.command()
def use(
    ctx: typer.Context,
    file: Path,
    reason: Annotated[str, typer.Option(help="Why; no identifier.")],
    by: Annotated[str, typer.Option(help="Your name; by default that of your account on this machine.")] = "",
) -> None:
    """Put the rules in a file into force, for what comes from now on. Their version must be higher than that in force."""
    context: Context = ctx.obj
    kept = read(file)
    former = in_force(context.data, kept.kind).rules.version
    if kept.rules.version <= former:
        raise ConfigError(f"{file} has version {kept.rules.version}; in force is {former}: raise it")
    who, why = checked_name(by or current_user()), checked_note(reason)
    digest = hashlib.sha256(kept.text.encode()).hexdigest()
    what = f"rules {kept.kind} version {kept.rules.version} instead of {former}, SHA-256 {digest[:16]}"
    context.trail().append("rules.use", what, actor=who, reason=why)
    put(context.data, kept)
    typer.echo(f"{kept.kind} rules of version {kept.rules.version} are in {file_of(context.data, kept.kind)}")
    typer.echo("alert goes by them when it starts again; what was judged keeps its reasons until something joins it")
