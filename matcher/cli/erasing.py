"""What `ullage erase` takes out on the hosts of the watchlists: the lists, and on the building host the way back from handles."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial

import typer

from matcher.watchlist import installation, subjects
from matcher.watchlist.changes import erase_customer
from matcher.watchlist.sizes import Sizes
from matcher.watchlist.tagging import handles
from ullage.erasure import ErasureReport, ErasureStage, Order
from ullage.lookup.erased_customers import EVERYBODY, SETTLED, Tombstones, tombstone
from ullage.settings import Context

AT_ONCE = 1 << 16
"""Handles read together."""


def parts(context: Context) -> Iterator[ErasureStage]:
    """See `ullage.erasure`."""
    yield ErasureStage(lambda _: (), partial(_erase, context), partial(_handle_of, context))


def _handle_of(context: Context, tenant: str, reference: str) -> str | None:
    if not context.keys.command and not context.keys.is_here(f"{tenant}/handle.key"):
        return None
    return str(handles(context.keys, tenant, [reference])[0].tobytes().hex())


def _erase(context: Context, order: Order) -> Iterator[ErasureReport]:
    tombstones = Tombstones(context.data, order.tenant)
    tombstones.add(order.mark, order.now)
    context.inventory.enter(tombstones.path)
    yield from (_tenant if order.is_whole else _customer)(context, order)


def say_erased(context: Context, tenant: str, epoch: int) -> None:
    """Name, by number and date, customers of the list that lies here who were erased before: it brings them back."""
    known = Tombstones(context.data, tenant).all()
    if not known:
        return
    found = [at for handle in _enrolled(context, tenant, epoch) if (at := known.get(tombstone(tenant, handle)))]
    if whole := known.get(tombstone(tenant, EVERYBODY)):
        typer.echo(f"{tenant}: the tenant was erased on {whole:%Y-%m-%d}, and is looked for again by this list", err=True)
    if found:
        typer.echo(
            f"{tenant}: {len(found)} customers of this list were erased, the last on {max(found):%Y-%m-%d}: they are looked for"
            f" again, and what is collected from {max(found) + SETTLED:%Y-%m-%d %H:%M} UTC on is stored of them; if nobody means"
            " that, take them out of the list and `ullage erase` them again",
            err=True,
        )


def _enrolled(context: Context, tenant: str, epoch: int) -> Iterator[str]:
    """Handles (hex) of a list and its day's changes, of which some may have gone."""
    opened = installation.open_installed(context.data, context.keys, tenant, epoch).list
    for index in filter(None, (opened.main, opened.delta)):
        table = index.arrays["handle"]
        for start in range(0, len(table), AT_ONCE):
            yield from (row.tobytes().hex() for row in table[start : start + AT_ONCE])


def _customer(context: Context, order: Order) -> Iterator[ErasureReport]:
    tenant, data = order.tenant, context.data
    here = tenant in installation.tenants(data)
    count = erase_customer(data, context.keys, tenant, order.handle) if here else 0
    if count:
        Sizes(data, context.keys).erased(tenant)
    yield ErasureReport("watchlists", count, "" if here else "none of this tenant is on this host")
    home = data / installation.BUILDING / f"{tenant}{subjects.SUFFIX}"
    if home.is_file():
        yield ErasureReport("pseudonym to reference", subjects.forget(home, context.keys, tenant, order.handle))


def _tenant(context: Context, order: Order) -> Iterator[ErasureReport]:
    tenant, data = order.tenant, context.data
    folder, ways = installation.folder_of(data, tenant), list((data / installation.BUILDING).glob(f"{tenant}.*"))
    lists = len(list(folder.glob(f"*{installation.SUFFIX}")))
    Sizes(data, context.keys).forget(tenant)  # before its lists go: match would miss them
    context.inventory.strike(*folder.glob(f"*{installation.SUFFIX}"), *ways)
    if folder.is_dir():
        shutil.rmtree(folder)
    yield ErasureReport("watchlists", lists)
    for path in ways:
        path.unlink()
    yield ErasureReport("pseudonym to reference", len(ways))
