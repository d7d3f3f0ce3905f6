"""Erase customers from lists (`ullage erase`), and resolve pseudonyms for the console.

Erasure takes a customer out of the lists of this host and, on the build host, out of the encrypted
references.

Resolving a pseudonym returns the customer reference. It is off unless the tenant's
`reference_approvals` is set to the number of people who must approve, and `T.subjects` and the
resolver's key are on this host. Match has only search's word for who asked and who approved. It
therefore limits the references of a tenant that leave within a day by its own setting
(`reference_budget`), counted in its own audit log, which has the case, the reason and all names
before the first reference leaves. A separate process does this, and its memory ends with it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import typer

from matcher.watchlist import installation, subjects, transfers
from matcher.watchlist.changes import erase_customer
from matcher.watchlist.installation import BUILDING, Sizes
from matcher.watchlist.tagging import handles
from ullage.audit import read_entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.erasure import ErasureReport, ErasureStage, Order
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.lookup.erased_customers import EVERYBODY, SETTLED, Tombstones, tombstone
from ullage.runtime.assessing import AssessmentRequest, ReferenceApproval
from ullage.settings import Context

AT_ONCE = 1 << 16
"""Pseudonyms that are read together."""


def parts(context: Context) -> Iterator[ErasureStage]:
    """Yield the stages of an erasure on this host; see `ullage.erasure`."""
    yield ErasureStage(lambda _: (), partial(_erase, context), partial(_handle_of, context))


def _handle_of(context: Context, tenant: str, reference: str) -> str | None:
    if not context.keys.command and not context.keys.is_available(f"{tenant}/handle.key"):
        return None
    return str(handles(context.keys, tenant, [reference])[0].tobytes().hex())


def _erase(context: Context, order: Order) -> Iterator[ErasureReport]:
    tombstones = Tombstones(context.data, order.tenant)
    tombstones.add(order.mark, order.now)
    context.inventory.enter(tombstones.path)
    yield from (_tenant if order.is_whole else _customer)(context, order)


def warn_of_erased_customers(context: Context, tenant: str, epoch: int) -> None:
    """Print how many customers of the installed list were erased before, and the last time.

    The list brings them back. Also says if the whole tenant was erased. Prints to standard error,
    and nothing if nobody was. Raises ConfigError or CorruptError if the list or the erasure marks
    cannot be read.
    """
    known = Tombstones(context.data, tenant).all()
    if not known:
        return
    erased = {
        handle: at
        for handle in _read_pseudonyms(context, tenant, epoch)
        if (at := known.get(tombstone(tenant, handle)))
    }
    if whole := known.get(tombstone(tenant, EVERYBODY)):
        typer.echo(
            f"{tenant}: the tenant was erased on {whole:%Y-%m-%d}; with this list, match"
            " searches for its customers again",
            err=True,
        )
    if erased:
        last = max(erased.values())
        typer.echo(
            f"{tenant}: {len(erased)} customers of this list were erased, the last on"
            f" {last:%Y-%m-%d}: match searches for them again, and findings in posts"
            f" collected from {last + SETTLED:%Y-%m-%d %H:%M} UTC on are stored; if that is"
            " not intended, remove them from the list and run `ullage erase` again",
            err=True,
        )


def _read_pseudonyms(context: Context, tenant: str, epoch: int) -> Iterator[str]:
    """Yield the pseudonyms (hex) of a list and its delta, without those that the delta removes.

    A customer whom the delta changes is in both and comes twice.
    """
    opened = installation.open_installed(context.data, context.keys, tenant, epoch).list
    removed = {row.tobytes() for row in opened.delta.arrays["gone"]} if opened.delta else set()
    for index in filter(None, (opened.main, opened.delta)):
        left_out = removed if index is opened.main else set[bytes]()
        table = index.arrays["handle"]
        for start in range(0, len(table), AT_ONCE):
            pseudonyms = (row.tobytes() for row in table[start : start + AT_ONCE])
            yield from (each.hex() for each in pseudonyms if each not in left_out)


def _customer(context: Context, order: Order) -> Iterator[ErasureReport]:
    tenant, data = order.tenant, context.data
    here = tenant in installation.tenants(data)
    count = erase_customer(data, context.keys, tenant, order.handle) if here else 0
    if count:
        Sizes(data, context.keys).subtract_one(tenant)
    yield ErasureReport(
        "watchlists", count, "" if here else "this host has no customer list of the tenant"
    )
    home = data / installation.BUILDING / f"{tenant}{subjects.SUFFIX}"
    if home.is_file():
        yield ErasureReport(
            "encrypted references", subjects.forget(home, context.keys, tenant, order.handle)
        )
    if (path := transfers.path_of(data, tenant)).is_file():
        table, removed = transfers.read_transfers(path, context.keys, tenant).without(
            bytes.fromhex(order.handle)
        )
        if removed:
            transfers.write_transfers(path, context.keys, tenant, table)
        yield ErasureReport("transfers", removed)


def _tenant(context: Context, order: Order) -> Iterator[ErasureReport]:
    tenant, data = order.tenant, context.data
    folder, ways = (
        installation.folder_of(data, tenant),
        list((data / installation.BUILDING).glob(f"{tenant}.*")),
    )
    lists = len(list(folder.glob(f"*{installation.SUFFIX}")))
    Sizes(data, context.keys).forget(tenant)  # before its lists go: match would miss them
    context.inventory.strike(*folder.glob(f"*{installation.SUFFIX}"), *ways)
    if folder.is_dir():
        shutil.rmtree(folder)
    yield ErasureReport("watchlists", lists)
    for path in ways:
        path.unlink()
    yield ErasureReport("encrypted references and transfers", len(ways))


CHAIN = "match"
MOST = 100_000
"""Most pseudonyms of one request."""
DAY = timedelta(hours=24)
RESOLVED, REFUSED = "subjects.resolve", "subjects.over_budget"
"""Actions in the audit log: references that left, and a request that went beyond the day's
budget.
"""
REQUESTED = re.compile(r": (\d+) pseudonyms requested")


def resolvable(context: Context) -> frozenset[str]:
    """Return the tenants whose pseudonyms are resolved on request and can be on this host."""
    tenants = context.settings.tenants.items()
    return frozenset(
        name for name, tenant in tenants if tenant.reference_approvals and _is_here(context, name)
    )


def _home(context: Context, tenant: str) -> Path:
    return context.data / BUILDING / f"{tenant}{subjects.SUFFIX}"


def _is_here(context: Context, tenant: str) -> bool:
    """Return whether the encrypted references are on this host, and their key may be."""
    has_key = context.keys.is_available(f"{tenant}/resolver.key") or bool(
        context.settings.keys.command
    )
    return has_key and _home(context, tenant).is_file()


def resolved(
    context: Context, question: AssessmentRequest, wanted: Collection[str]
) -> dict[str, str]:
    """Return references by pseudonym (hex), after writing the audit log.

    Pseudonyms in no list are left out, so the result may be {}. Raises `RecordError`; its reason is
    `off`, `approval`, `too_many` (over MOST, 100,000), `budget` (more than `reference_budget` a
    day, which is logged in the audit log), `absent` or `damaged`.
    """
    tenant, approval = _read_approval(context, question)
    if len(wanted) > MOST:
        raise RecordError("too_many", f"a request must name at most {MOST:,} pseudonyms")
    if not _is_here(context, tenant):
        raise RecordError(
            "absent",
            "the encrypted references are not on this host: send the request to the build host",
        )
    asked = (
        f"case {approval.case}, incident {approval.incident}: {len(wanted)} pseudonyms requested"
    )
    trail, whose = (
        context.trail(CHAIN),
        {"actor": approval.by, "tenant": tenant, "reason": approval.reason},
    )
    budget = context.tenant(tenant).reference_budget
    if count_requested(context, tenant) + len(wanted) > budget:
        trail.append(REFUSED, f"{asked}, over the limit of {budget} a day", **whose)
        raise RecordError(
            "budget",
            (
                f"more than {budget:,} references of this tenant within a day: wait, or raise"
                " reference_budget"
            ),
        )
    try:
        found = subjects.resolve(_home(context, tenant), context.keys, tenant, wanted)
    except (ConfigError, CorruptError):
        raise RecordError(
            "damaged",
            "the encrypted references cannot be read: restore them, or build the list again",
        ) from None
    trail.append(
        RESOLVED,
        f"{asked}, {len(found)} found, approved by {' and '.join(approval.approved_by)}",
        **whose,
    )
    if count_requested(context, tenant) > budget:  # another request was answered meanwhile
        raise RecordError(
            "budget",
            (
                f"more than {budget:,} references of this tenant within a day: wait, or raise"
                " reference_budget"
            ),
        )
    return found


def count_requested(context: Context, tenant: str) -> int:
    """Return how many references of a tenant were requested within a day, by the audit log."""
    since = context.clock.now() - DAY
    made = (
        one
        for chain, one in read_entries(context.data / AUDIT)
        if chain == CHAIN and one.action == RESOLVED
    )
    asked = (
        REQUESTED.search(one.object) for one in made if one.tenant == tenant and one.at > since
    )
    return sum(int(found[1]) for found in asked if found)


def _read_approval(context: Context, question: AssessmentRequest) -> tuple[str, ReferenceApproval]:
    """Return the tenant whose references are requested, and the approval.

    Raises `RecordError`: `approval` if not exactly one tenant is named or too few people other than
    the requester approved, `off` if the tenant has no approvals set.
    """
    approval, tenants = question.approval, question.tenants or ()
    if approval is None or len(tenants) != 1:
        raise RecordError("approval", "a request must name one tenant and its approvers")
    needed = context.tenant(tenants[0]).reference_approvals
    if not needed:
        raise RecordError(
            "off",
            (
                "customer references of this tenant are not given out: set"
                " reference_approvals to allow it"
            ),
        )
    if len({*approval.approved_by} - {approval.by}) < needed:
        raise RecordError(
            "approval", ("not enough people approved the request: have more approve it")
        )
    return tenants[0], approval
