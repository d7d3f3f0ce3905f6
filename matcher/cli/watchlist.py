"""`ullage watchlist …` and `ullage subjects resolve`."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from matcher.cli.erasing import warn_of_erased_customers
from matcher.cli.rotation import Early, KeyRotation, OfIndex, Retire
from matcher.cli.scan import body_of, size_of
from matcher.cli.transfers import transfers
from matcher.cli.watchlist_options import (
    Columns,
    ControlFile,
    Delimiter,
    Digests,
    Enrol,
    Files,
    Long,
    Map,
    Shrink,
    TenantName,
    WitnessColumns,
    confirmed,
    print_report,
    require_enrolled_tenant,
    source_of,
    valid_name,
)
from matcher.watchlist import installation
from matcher.watchlist import subjects as sealed_subjects
from matcher.watchlist.build import Builder, Control, enrolling
from matcher.watchlist.changes import Changes
from matcher.watchlist.cohorts import bait_of, write
from matcher.watchlist.installation import Sizes, require
from matcher.watchlist.runs import require_room
from matcher.watchlist.source import CANARY, Source
from matcher.watchlist.tagging import CHOICES, CHOSEN_SHARE, entries_of
from ullage.audit import current_user
from ullage.audit.bait import read_stamps, record
from ullage.audit.entry import AuditEntry
from ullage.audit.trail import FOLDER
from ullage.audit.verify import list_watchlist_changes
from ullage.display import moment
from ullage.display.listing import Listing
from ullage.display.progress import read_progress
from ullage.display.screen import print_list
from ullage.errors import ConfigError, Exit
from ullage.files.atomic_write import put_in_place
from ullage.lookup import list_index as recorded
from ullage.security.keys import KeyStore, list_generations, load_verify_key
from ullage.settings import Context
from ullage.settings.tenants import require_tenant

app = typer.Typer(
    no_args_is_help=True,
    help="Build, load and update customer lists, on one machine or on a separate build host.",
)
subjects = typer.Typer(
    no_args_is_help=True,
    help="Resolve customer pseudonyms to customer references, on the build host.",
)
app.command()(transfers)
SECONDS_A_TAG = 5e-7
BYTES_AN_ENTRY = 24


@app.command()
def load(
    ctx: typer.Context,
    *,
    file: Files,
    tenant: TenantName,
    map_: Map = [],  # noqa: B006
    digests: Digests = "all",
    columns: Columns = "",
    long: Long = "",
    delimiter: Delimiter = "",
    control: ControlFile = None,
    witness: WitnessColumns = "",
    enrolled: Enrol = False,
    shrink: Shrink = False,
) -> None:
    """Load a customer file, with keys for a new tenant; or install a list (`.watchlist`,
    `.delta`) built elsewhere.
    """
    context: Context = ctx.obj
    context.require_data()
    if built := next(
        (one for one in file if one.suffix in (installation.SUFFIX, installation.DELTA)), None
    ):
        if len(file) > 1:
            raise ConfigError(f"{built} is a built list: load it without other files")
        _install(context, built, tenant, shrink=shrink)
        return
    home = context.data / installation.BUILDING / f"{valid_name(tenant)}.subjects"
    source = confirmed(source_of(file, map_, columns, long, delimiter, witness))
    listed_at = recorded.path_of(context.data, tenant)
    made = (
        installation.folder_of(context.data, tenant),
        home,
        listed_at,
        Sizes(context.data, context.keys).path(tenant),
    )
    with (
        enrolling(context.keys, tenant, made) as (keys, place),
        _draft_folder(context.data) as folder,
    ):
        installation.check_handle_key(context.data, keys, tenant)
        target = folder / f"{tenant}.watchlist"
        builder = _builder(keys, tenant, digests, listed=enrolled)
        with _read(source) as list_:
            header = builder.build(
                list_, target, context.clock.now(), Control(control) if control else None
            )
        installation.check_size(context.data, context.keys, tenant, header.customers, shrink=shrink)
        extras = f", {builder.report.witnesses} private attributes" if witness else ""
        extras += ", and the customer registry" if enrolled else ""
        _note(
            context,
            "load",
            tenant,
            f"key generation {header.epoch}, {header.customers} customers{extras}",
        )
        place()
        installation.install(
            context.data,
            context.keys,
            tenant,
            target,
            context.clock.now(),
            move=True,
            shrink=shrink,
        )
        home.parent.mkdir(exist_ok=True, mode=0o700)
        put_in_place(target.with_suffix(".subjects"), home)
        context.inventory.enter(home)
        if not enrolled:
            context.inventory.strike(listed_at)
        _put_list(target.with_suffix(recorded.SUFFIX), listed_at, tenant, wanted=enrolled)
        if enrolled:
            context.inventory.enter(listed_at)
    print_report(builder.report, source, tenant)
    _say_unstamped(context, tenant, header.epoch)
    warn_of_erased_customers(context, tenant, header.epoch)


def _put_list(made: Path, home: Path, tenant: str, *, wanted: bool) -> None:
    """Install the customer registry, or remove a former one that lacks some of these customers.

    A removal is printed on standard error. `wanted` decides; amendments of the former one are
    deleted in any case.
    """
    was_there = home.is_file()
    home.with_name(home.name + recorded.AMENDED).unlink(missing_ok=True)
    if wanted:
        home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        put_in_place(made, home)
    elif was_there:
        home.unlink()
        typer.echo(
            (
                f"{tenant}: removed {home}, because --enrolled was not given: look-ups no"
                " longer say whether a value is recorded"
            ),
            err=True,
        )


def _say_unstamped(context: Context, tenant: str, epoch: int) -> None:
    """Print the parties whose honeytokens are in a list without being recorded."""
    labels = installation.open_installed(
        context.data, context.keys, tenant, epoch
    ).list.count_labels()
    parties = {label for dimension, label in labels if dimension == CANARY}
    if bare := sorted(
        parties - {stamp.party for stamp in read_stamps(context.data / FOLDER, tenant)}
    ):
        typer.echo(
            (
                f"{tenant}: the honeytokens of {', '.join(bare)} are not recorded: run `ullage"
                " watchlist stamp` before you hand them out"
            ),
            err=True,
        )


@app.command()
def stamp(
    ctx: typer.Context,
    *,
    file: Files,
    tenant: TenantName,
    canary: Annotated[
        str,
        typer.Option(help=("The party that receives these honeytokens, as in column `canary`.")),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write and keep; its SHA-256 is recorded."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Show when FILE was recorded.")] = False,
    map_: Map = [],  # noqa: B006
    columns: Columns = "",
    long: Long = "",
    delimiter: Delimiter = "",
) -> None:
    """Record the SHA-256 of a list of honeytokens in the audit log before it is handed out; or
    --check one.
    """
    context: Context = ctx.obj
    context.require_data()
    if check:
        _check_stamps(context, valid_name(tenant), file)
        return
    if out is None or not canary:
        raise ConfigError(
            "give --canary PARTY and --output FILE, or --check with a file that `stamp` wrote"
        )
    made = bait_of(
        confirmed(source_of(file, map_, columns, long, delimiter)),
        valid_name(tenant),
        canary.strip(),
        secrets.token_hex(32),
    )
    with contextlib.ExitStack() as undo:
        write(out, made.content)
        undo.callback(out.unlink)  # a list without a stamp is not left to be handed out
        noted = record(
            context.trail(),
            tenant,
            canary.strip(),
            made.customers,
            made.sha256,
            actor=current_user(),
        )
        undo.pop_all()
    typer.echo(
        f"{tenant}: honeytokens of {canary.strip()}: {made.customers} customers,"
        f" recorded {noted.at.isoformat(timespec='seconds')}"
    )
    typer.echo(
        f"sha256 {made.sha256} of {out}, which contains the honeytokens in clear: keep it"
        " with the list"
    )
    typer.echo("to request a timestamp from an authority (RFC 3161), send it the output of:")
    typer.echo(f"  openssl ts -query -data {out} -sha256 -cert -out {out}.tsq")


def _check_stamps(context: Context, tenant: str, files: list[Path]) -> None:
    known = {one.sha256: one for one in read_stamps(context.data / FOLDER, tenant)}
    missing = 0
    for path in files:
        one = known.get(hashlib.sha256(body_of(path)).hexdigest())
        missing += one is None
        what = (
            f"honeytokens of {one.party}, {one.customers} customers, recorded"
            f" {one.at.isoformat(timespec='seconds')}"
            if one
            else ""
        )
        typer.echo(
            f"{path}: {what or 'not recorded in the audit log of this host'}", err=one is None
        )
    if missing:
        raise typer.Exit(Exit.FAILED)


@app.command()
def build(
    ctx: typer.Context,
    *,
    file: Files,
    tenant: TenantName,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for TENANT.watchlist and TENANT.subjects."),
    ] = Path(),
    map_: Map = [],  # noqa: B006
    digests: Digests = "all",
    columns: Columns = "",
    long: Long = "",
    delimiter: Delimiter = "",
    control: ControlFile = None,
    witness: WitnessColumns = "",
    enrolled: Enrol = False,
    shrink: Shrink = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only estimate how large the list will be.")
    ] = False,
) -> None:
    """Build a signed list and its encrypted references, on the build host."""
    context: Context = ctx.obj
    source = confirmed(source_of(file, map_, columns, long, delimiter, witness))
    if estimate:
        _estimate(context, source, digests)
        return
    target = out / f"{valid_name(tenant)}.watchlist"
    made, listed_at = (target, target.with_suffix(".subjects")), target.with_suffix(recorded.SUFFIX)
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        enrolling(context.keys, tenant, (*made, listed_at)) as (keys, place),
        _draft_folder(out) as folder,
    ):
        builder = _builder(keys, tenant, digests, listed=enrolled)
        with _read(source) as list_:
            made_now = builder.build(
                list_,
                folder / target.name,
                context.clock.now(),
                Control(control) if control else None,
            )
        if target.is_file():
            before = installation.customers_of(
                target, target.with_suffix(installation.DELTA), load_verify_key(keys, tenant)
            )
            require(f"the list of {tenant}", made_now.customers, before, shrink=shrink)
        place()
        for path in made:
            put_in_place(folder / path.name, path)
        _put_list(folder / listed_at.name, listed_at, tenant, wanted=enrolled)
    print_report(builder.report, source, tenant)
    typer.echo(f"copy {out / tenant}.watchlist to match; {tenant}.subjects stays here")
    if enrolled:
        typer.echo(f"copy {listed_at} to search, into its folder {recorded.FOLDER}")


def _builder(keys: KeyStore, tenant: str, digests: str, *, listed: bool = False) -> Builder:
    """Return a builder for the newest key generation."""
    return Builder(
        keys, tenant, list_generations(keys, tenant, "match")[-1], digests, listed=listed
    )


@contextlib.contextmanager
def _read(source: Source) -> Iterator[Source]:
    """Yield `source`, with its progress shown at a terminal."""
    with read_progress([size_of(path) for path in source.paths]) as progress:
        yield replace(source, progress=progress)


@contextlib.contextmanager
def _draft_folder(parent: Path) -> Iterator[Path]:
    """Yield a folder for the build, on the file system of its destination."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="build-") as folder:
        yield Path(folder)


def _estimate(context: Context, source: Source, digests: str) -> None:
    if digests not in CHOICES:
        raise ConfigError(f"--digests {digests}: must be one of {', '.join(CHOICES)}")
    started, tags = context.clock.monotonic(), 0
    for batch in source.batches():
        tags += round(2 * CHOSEN_SHARE * len(batch.lines)) if batch.witness else 0
        for column in batch.columns:
            tags += int((column.cells.lengths > 0).sum()) * entries_of(
                column.kind, column.kind in CHOICES[digests]
            )
    seconds = (context.clock.monotonic() - started) + tags * SECONDS_A_TAG
    typer.echo(
        f"{tags} tags, {tags * BYTES_AN_ENTRY / 2**20:.1f} MiB, about"
        f" {max(1, round(seconds / 60))} min"
    )
    require_room(tags)


def _install(context: Context, file: Path, tenant: str, *, shrink: bool) -> None:
    """Check a built watchlist, or a delta, install it on match's host, and print the result.

    The audit log is written before it is installed. Raises ConfigError if the tenant or the list is
    not valid, or if it is much smaller than before, unless `shrink` allows that.
    """
    require_enrolled_tenant(context, tenant)
    installation.check_source(
        context.data, context.keys, tenant, file, context.clock.now(), shrink=shrink
    )
    _note(context, "install", tenant, "a list built on another host")
    done = installation.install(
        context.data, context.keys, tenant, file, context.clock.now(), shrink=shrink
    )
    what = "changes to " if done.base else ""
    typer.echo(
        f"{tenant}: {what}key generation {done.epoch}, {done.customers} customers, valid"
        f" until {done.expires[:10]}"
    )
    warn_of_erased_customers(context, tenant, done.epoch)


Removals = Annotated[
    list[Path] | None,
    typer.Option(
        help=(
            "A list of removals: a row with identifiers removes these, a row without them"
            " removes the customer."
        )
    ),
]
UpdateFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help=(
            "On a separate build host: the folder of TENANT.watchlist. By default the"
            " installed list is changed."
        ),
    ),
]


def _install_update(
    context: Context, tenant: str, draft: Path, epoch: int, *, shrink: bool
) -> None:
    """Install the changes of `draft` once they have been checked and noted in the audit log."""
    data, keys, now = context.data, context.keys, context.clock.now()
    installation.check_source(data, keys, tenant, draft, now, shrink=shrink)
    _note(context, "update", tenant, f"key generation {epoch}")
    installation.install(data, keys, tenant, draft, now, move=True, shrink=shrink)


@app.command()
def update(
    ctx: typer.Context,
    *,
    file: Annotated[
        list[Path] | None,
        typer.Argument(help="Lists of additions: new customers, new identifiers."),
    ] = None,
    tenant: TenantName,
    remove: Removals = None,
    out: UpdateFolder = None,
    map_: Map = [],  # noqa: B006
    columns: Columns = "",
    long: Long = "",
    delimiter: Delimiter = "",
    control: ControlFile = None,
    witness: WitnessColumns = "",
    shrink: Shrink = False,
) -> None:
    """Apply a day's changes to a list without building it again."""
    context: Context = ctx.obj
    if not file and not remove:
        raise ConfigError("give a file of additions, a file of removals with --remove, or both")
    require_enrolled_tenant(context, tenant)
    additions = (
        confirmed(source_of(file, map_, columns, long, delimiter, witness)) if file else None
    )
    removals = (
        confirmed(replace(source_of(remove, map_, columns, long, delimiter), bare=True))
        if remove
        else None
    )
    epoch = max(list_generations(context.keys, tenant, "match"), default=0)
    main = (
        out / f"{tenant}{installation.SUFFIX}"
        if out
        else installation.path_of(context.data, tenant, epoch)
    )
    if not main.is_file():
        raise ConfigError(f"{main} does not exist: load the whole list first")
    delta, home = main.with_suffix(installation.DELTA), out or context.data / installation.BUILDING
    listed_at = (
        out / f"{tenant}{recorded.SUFFIX}" if out else recorded.path_of(context.data, tenant)
    )
    former = recorded.VerifiedList(listed_at, context.keys, tenant) if listed_at.is_file() else None
    changes = Changes(context.keys, tenant, main, delta, former)
    with _draft_folder(out or context.data) as folder:
        draft = folder / delta.name
        totals = Control(control) if control else None
        changes.build(
            additions, removals, draft, home / f"{tenant}.subjects", context.clock.now(), totals
        )
        if out:
            key = load_verify_key(context.keys, tenant)
            before = installation.customers_of(main, delta, key)
            customers = installation.customers_of(main, draft, key)
            require(f"the list of {tenant}", customers, before, shrink=shrink)
            put_in_place(draft, delta)
        else:
            _install_update(context, tenant, draft, epoch, shrink=shrink)
        if former:
            _put_list(draft.with_suffix(recorded.SUFFIX), listed_at, tenant, wanted=True)
    print_report(changes.report, additions, tenant)
    if not out:
        warn_of_erased_customers(context, tenant, epoch)
    else:
        typer.echo(f"copy {delta} to match" + f", {listed_at} to search" * bool(former))


@app.command()
def show(
    ctx: typer.Context,
    only: Annotated[str, typer.Option("--tenant", help="Only this tenant.")] = "",
    history: Annotated[
        bool,
        typer.Option("--history", help="Show the changes of lists on this host, newest first."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the history as JSON, one object per line.")
    ] = False,
) -> None:
    """Show the installed list: customers, entries by kind, changes since, expiry; or its
    history.
    """
    context: Context = ctx.obj
    context.require_data()
    if only:
        require_enrolled_tenant(context, only)
    if history or as_json:
        _history(context, only, as_json=as_json)
        return
    listed_here = [one for one in installation.tenants(context.data) if only in ("", one)]
    if not listed_here:
        typer.echo(
            (
                "no customer list is installed here, so no customer can be found: use `ullage"
                " watchlist load`"
            ),
            err=True,
        )
    for tenant in listed_here:
        if (listed_at := recorded.path_of(context.data, tenant)).is_file():
            known = recorded.VerifiedList(listed_at, context.keys, tenant).header
            typer.echo(
                f"{tenant} customer registry: {known.pairs} pairs, created {known.created[:10]},"
                f" valid until {known.expires[:10]}"
            )
        for path in sorted(
            (context.data / installation.FOLDER / tenant).glob(f"*{installation.SUFFIX}")
        ):
            opened = installation.open_installed(
                context.data, context.keys, tenant, int(path.stem)
            ).list
            counts = ", ".join(f"{name} {count}" for name, count in opened.counts().items())
            left = (datetime.fromisoformat(opened.header.expires) - context.clock.now()).days
            typer.echo(
                f"{tenant} key generation {path.stem}: {opened.customers} customers,"
                f" expires in {left} days: {counts}"
            )
            if labels := opened.count_labels():
                dimensions = Counter(dimension for dimension, _ in labels)
                typer.echo(
                    "  labels: "
                    + ", ".join(
                        f"{number} of {name}" for name, number in sorted(dimensions.items())
                    )
                )
            if opened.delta:
                change = opened.delta.header
                went = f"{change.removed} entries and {change.gone} customers removed"
                typer.echo(
                    f"  changed {change.created[:16]}: {change.enrolled} entries added, {went}"
                )


@app.command("rotate-key")
def rotate_key(
    ctx: typer.Context,
    tenant: TenantName,
    *,
    retire: Retire = False,
    index: OfIndex = False,
    early: Early = False,
) -> None:
    """Start a new key generation, which `load` fills while both are live; or retire the old one."""
    context: Context = ctx.obj
    require_enrolled_tenant(context, tenant)
    if early and not (index and retire):
        raise ConfigError("--early must be used with --index --retire")
    rotation = KeyRotation(context, tenant, "index" if index else "match")
    for line in rotation.retire(early=early) if retire else rotation.open():
        typer.echo(line)


def _note(context: Context, action: str, tenant: str, what: str) -> None:
    """Write the change of a watchlist to the audit log, before it is made."""
    context.trail().append(f"watchlist.{action}", what, actor=current_user(), tenant=tenant)


def _history(context: Context, tenant: str, *, as_json: bool) -> None:
    """Print the changes of watchlists on this machine, newest first.

    They are loads with their sizes, when and by whom, of one tenant or for "" of all.
    """
    found = [
        one for one in list_watchlist_changes(context.data / FOLDER) if tenant in ("", one.tenant)
    ]

    def shown(entries: Sequence[AuditEntry]) -> Listing:
        listing = Listing(("when", "tenant", "by", "did", "what"), whole=("when",))
        for entry in entries:
            at = moment(entry.at, context.zone)
            listing.add_row(at, entry.tenant, entry.actor, entry.action, entry.object)
        return listing

    def row(one: AuditEntry) -> dict[str, object]:
        return {
            "at": one.at.isoformat(),
            "tenant": one.tenant,
            "action": one.action,
            "what": one.object,
            "by": one.actor,
            "entry": one.digest,
        }

    print_list(
        found,
        as_json=as_json,
        row=row,
        table=shown,
        none="No customer list operations on this machine.",
    )


@subjects.callback()
def _subjects() -> None:
    """Resolve customer pseudonyms to customer references, on the build host."""


@subjects.command("resolve")
def resolve(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help=(
                "Pseudonyms, one per line, or the CSV of `assess --customers`; - reads"
                " standard input."
            )
        ),
    ],
    case: Annotated[str, typer.Option("--case", help="The case number, for the audit log.")],
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit log.")],
    tenant: Annotated[str, typer.Option("--tenant")] = "",
) -> None:
    """Print CSV `handle,customer_ref`, with an entry in the audit log."""
    context: Context = ctx.obj
    if not case.strip() or not reason.strip():
        raise ConfigError("--case and --reason must not be empty: the audit log records them")
    text = body_of(file).decode("utf-8", "replace")
    wanted = [line.strip().split(",")[0] for line in text.splitlines() if line.strip()]
    # the header of `assess --customers`
    wanted = wanted[1:] if wanted[:1] == ["handle"] else wanted
    homes = sorted((context.data / installation.BUILDING).glob("*.subjects"))
    if not homes:
        raise ConfigError(
            f"no encrypted references in {context.data / 'building'}: resolve on the build host"
        )
    if tenant:
        require_tenant(tenant, (home.stem for home in homes))
        homes = [home for home in homes if home.stem == tenant]
    found: dict[str, str] = {}
    for home in homes:
        references = sealed_subjects.resolve(home, context.keys, home.stem, wanted)
        what = f"case {case.strip()}: {len(wanted)} pseudonyms requested, {len(references)} found"
        context.trail().append(
            "subjects.resolve", what, actor=current_user(), tenant=home.stem, reason=reason.strip()
        )
        found |= references
    writer = csv.writer(sys.stdout)
    writer.writerow(("handle", "customer_ref"))
    writer.writerows((handle, found[handle]) for handle in wanted if handle in found)
    if missing := sum(handle not in found for handle in wanted):
        typer.echo(f"{missing} of {len(wanted)} pseudonyms are not in this list", err=True)
        raise typer.Exit(Exit.FAILED)
