"""`ullage watchlist …` and `ullage subjects resolve`."""

from __future__ import annotations

import csv
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from matcher.files import body_of
from matcher.watchlist import installed
from matcher.watchlist import subjects as sealed_subjects
from matcher.watchlist.build import DIGESTS, FORMS, Builder, Report
from matcher.watchlist.file import Watchlist
from matcher.watchlist.source import Source
from ullage.errors import ConfigError
from ullage.keys import epochs, make_tenant, verify_key
from ullage.settings import TENANT, Context

app = typer.Typer(no_args_is_help=True, help="The hashed list of a tenant's customers: load it, or build and install it apart.")
subjects = typer.Typer(no_args_is_help=True, help="From handles back to customer references, on the building host.")
File = Annotated[Path, typer.Argument(help="CSV (also GB18030, .gz, any delimiter), Parquet, or - for standard input.")]
TenantName = Annotated[str, typer.Option("--tenant", help="Whose customers they are.")]
Map = Annotated[list[str], typer.Option("--map", help="COLUMN=KIND, for columns not named as a kind.")]
Digests = Annotated[str, typer.Option(help="Also enrol md5, sha1 and sha256 of: none, phone, all.")]
SHOWN_REJECTS = 10
REASON_CHARACTERS = 500


def _mapping(pairs: list[str]) -> dict[str, str]:
    if bad := [pair for pair in pairs if "=" not in pair]:
        raise ConfigError(f"--map {bad[0]}: write COLUMN=KIND")
    return dict(pair.rsplit("=", 1) for pair in pairs)


def _named(tenant: str) -> str:
    if not TENANT.fullmatch(tenant):
        raise ConfigError(f"--tenant {tenant!r}: use a-z, 0-9 and -, at most 32 characters, a letter first")
    return tenant


def _build(context: Context, file: Path, tenant: str, mapping: list[str], digests: str, target: Path) -> Report:
    epoch = epochs(context.keys, tenant, "match")[-1]
    builder = Builder(context.keys, tenant, epoch, digests)
    builder.build(Source(file, _mapping(mapping)), target, context.clock.now())
    return builder.report


def _say(report: Report, tenant: str) -> None:
    for line, column, reason in report.rejects[:SHOWN_REJECTS]:
        typer.echo(f"line {line}, column {column}: {reason}; left out", err=True)
    if len(report.rejects) > SHOWN_REJECTS:
        typer.echo(f"… and {len(report.rejects) - SHOWN_REJECTS} more left out", err=True)
    typer.echo(f"{tenant}: {report.customers} customers, {report.identifiers} identifiers, {report.entries} entries")


@app.command()
def load(ctx: typer.Context, file: File, tenant: TenantName, map_: Map = [], digests: Digests = "all") -> None:  # noqa: B006
    """Build and install on one machine; keys of a new tenant are made."""
    context: Context = ctx.obj
    make_tenant(context.keys, _named(tenant))
    with tempfile.TemporaryDirectory(dir=context.data, prefix="build-") as folder:
        target = Path(folder) / f"{tenant}.watchlist"
        report = _build(context, file, tenant, map_, digests, target)
        installed.install(context.data, context.keys, tenant, target, context.clock.now())
        home = context.data / "building" / f"{tenant}.subjects"
        home.parent.mkdir(exist_ok=True, mode=0o700)
        target.with_suffix(".subjects").replace(home)
    _say(report, tenant)


@app.command()
def build(
    ctx: typer.Context,
    file: File,
    tenant: TenantName,
    out: Annotated[Path, typer.Option(help="Folder for TENANT.watchlist and TENANT.subjects.")] = Path(),
    map_: Map = [],  # noqa: B006
    digests: Digests = "all",
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say how large it will be.")] = False,
) -> None:
    """On the building host: write the signed watchlist and the sealed way back."""
    context: Context = ctx.obj
    if estimate:
        _estimate(context, Source(file, _mapping(map_)), digests)
        return
    make_tenant(context.keys, _named(tenant))
    _say(_build(context, file, tenant, map_, digests, out / f"{tenant}.watchlist"), tenant)
    typer.echo(f"send {out / tenant}.watchlist to match; {tenant}.subjects stays here")


def _estimate(context: Context, source: Source, digests: str) -> None:
    started, tags = context.clock.monotonic(), 0
    for batch in source.batches():
        for column in batch.columns:
            filled = sum(1 for text in column.cells if text.strip())
            tags += filled * (1 + len(FORMS) * (column.kind in DIGESTS[digests]))
    seconds = (context.clock.monotonic() - started) + tags * 2e-6
    typer.echo(f"{tags} tags, {tags * 25 / 2**20:.1f} MiB, about {max(1, round(seconds / 60))} min")


@app.command()
def install(ctx: typer.Context, file: Path, tenant: TenantName) -> None:
    """On match's host: check a built watchlist and swap it in."""
    context: Context = ctx.obj
    done = installed.install(context.data, context.keys, _named(tenant), file, context.clock.now())
    typer.echo(f"{tenant}: epoch {done.header.epoch}, {done.header.subjects} customers, until {done.header.expires[:10]}")


@app.command()
def stats(ctx: typer.Context) -> None:
    """What is installed: customers, entries a kind, expiry."""
    context: Context = ctx.obj
    for tenant in installed.tenants(context.data):
        for path in sorted((context.data / installed.FOLDER / tenant).glob(f"*{installed.SUFFIX}")):
            opened = Watchlist(path, verify_key(context.keys, tenant))
            counts = ", ".join(f"{name} {count}" for name, count in opened.counts().items())
            left = (datetime.fromisoformat(opened.header.expires) - context.clock.now()).days
            typer.echo(
                f"{tenant} epoch {opened.header.epoch}: {opened.header.subjects} customers, expires in {left} days: {counts}"
            )


@app.command("rotate-key")
def rotate_key(
    ctx: typer.Context,
    tenant: TenantName,
    retire: Annotated[bool, typer.Option("--retire", help="Destroy the older epoch: its key and its watchlist.")] = False,
) -> None:
    """Open a new epoch (then `load` fills it; both live), or end the dual window."""
    context: Context = ctx.obj
    live = epochs(context.keys, _named(tenant), "match")
    if not live:
        raise ConfigError(f"tenant {tenant} has no key: load its watchlist first")
    if not retire:
        context.keys.make(f"{tenant}/match-{live[-1] + 1}.key")
        typer.echo(f"{tenant}: epoch {live[-1] + 1} is open; load the list again to fill it, then rotate-key --retire")
        return
    if len(live) < 2 or not installed.path_of(context.data, tenant, live[-1]).is_file():
        raise ConfigError(f"tenant {tenant} has no newer epoch that is filled: rotate-key, load, then --retire")
    for old in live[:-1]:
        context.keys.destroy(f"{tenant}/match-{old}.key")
        installed.path_of(context.data, tenant, old).unlink(missing_ok=True)
        typer.echo(f"{tenant}: epoch {old} is destroyed")


@subjects.callback()
def _subjects() -> None:
    """From handles back to customer references, on the building host."""


@subjects.command("resolve")
def resolve(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Handles, one a line; - for standard input.")],
    case: Annotated[str, typer.Option("--case", help="The case number that this is for.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in words.")],
    tenant: Annotated[str, typer.Option("--tenant")] = "",
) -> None:
    """CSV `handle,customer_ref` on standard output, and an audit line."""
    context: Context = ctx.obj
    if not case.strip() or not reason.strip():
        raise ConfigError("--case and --reason must say something: they go into the audit record")
    text = body_of(file).decode("utf-8", "replace")
    wanted = [line.strip().split(",")[0] for line in text.splitlines() if line.strip()]
    homes = sorted((context.data / "building").glob(f"{tenant or '*'}.subjects"))
    if not homes:
        raise ConfigError(f"no sealed subjects in {context.data / 'building'}: resolve on the building host")
    found: dict[str, str] = {}
    for home in homes:
        references = sealed_subjects.resolve(home, context.keys, home.stem, wanted)
        audit = context.data / "audit" / "subjects.jsonl"
        now = context.clock.now()
        sealed_subjects.write_audit(audit, now, home.stem, case, reason[:REASON_CHARACTERS], len(wanted), len(references))
        found |= references
    writer = csv.writer(sys.stdout)
    writer.writerow(("handle", "customer_ref"))
    writer.writerows((handle, found[handle]) for handle in wanted if handle in found)
    if missing := sum(handle not in found for handle in wanted):
        typer.echo(f"{missing} of {len(wanted)} handles are not in this list", err=True)
