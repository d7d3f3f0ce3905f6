"""Resolve the pseudonyms of an incident to customer references for the console (`ullage.runtime.assessing`).

It is off unless the tenant's `reference_approvals` says how many people approve, and unless `T.subjects` and the resolver's key
are on this host. Match has search's word alone for who asked and who approved. So it limits how many references of a tenant leave
within a day by its own settings (`reference_budget`), counted by its own audit log, which has the case, the reason and all names
before the first reference leaves. A process of its own does so, whose memory goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from matcher.watchlist import subjects
from matcher.watchlist.installation import BUILDING
from ullage.audit import entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.runtime.assessing import AssessmentRequest, ReferenceApproval
from ullage.settings import Context

CHAIN = "match"
MOST = 100_000
"""Pseudonyms of one request."""
DAY = timedelta(hours=24)
RESOLVED, REFUSED = "subjects.resolve", "subjects.over_budget"
"""Actions in the audit log: references that left, and a request that went beyond the day's budget."""
REQUESTED = re.compile(r": (\d+) pseudonyms requested")


def resolvable(context: Context) -> frozenset[str]:
    """The tenants whose references are handed out, and can be resolved on this host."""
    tenants = context.settings.tenants.items()
    return frozenset(name for name, tenant in tenants if tenant.reference_approvals and _is_here(context, name))


def _home(context: Context, tenant: str) -> Path:
    return context.data / BUILDING / f"{tenant}{subjects.SUFFIX}"


def _is_here(context: Context, tenant: str) -> bool:
    """Whether the way back is on this host, and the key to it may be."""
    has_key = context.keys.is_here(f"{tenant}/resolver.key") or bool(context.settings.keys.command)
    return has_key and _home(context, tenant).is_file()


def resolved(context: Context, question: AssessmentRequest, wanted: Collection[str]) -> dict[str, str]:
    """References by pseudonym (hex), in the audit log first; one that is in no list is left out.

    RecordError says in its reason why there are none: `off`, `approval`, `too_many`, `budget`, `absent` or `damaged`.
    """
    tenant, approval = _approved(context, question)
    if len(wanted) > MOST:
        raise RecordError("too_many", f"at most {MOST:,} pseudonyms are resolved at once")
    if not _is_here(context, tenant):
        raise RecordError("absent", "the way back from pseudonyms is not on this host")
    asked = f"case {approval.case}, incident {approval.incident}: {len(wanted)} pseudonyms requested"
    trail, whose = context.trail(CHAIN), {"actor": approval.by, "tenant": tenant, "reason": approval.reason}
    budget = context.tenant(tenant).reference_budget
    if count_requested(context, tenant) + len(wanted) > budget:
        trail.append(REFUSED, f"{asked}, beyond {budget} a day", **whose)
        raise RecordError("budget", f"more than {budget:,} references of this tenant within a day")
    try:
        found = subjects.resolve(_home(context, tenant), context.keys, tenant, wanted)
    except (ConfigError, CorruptError):
        raise RecordError("damaged", "the way back from pseudonyms cannot be read") from None
    trail.append(RESOLVED, f"{asked}, {len(found)} found, approved by {' and '.join(approval.approved_by)}", **whose)
    if count_requested(context, tenant) > budget:  # another request was answered meanwhile
        raise RecordError("budget", f"more than {budget:,} references of this tenant within a day")
    return found


def count_requested(context: Context, tenant: str) -> int:
    """Return how many references of a tenant were asked of match within a day, by its audit log."""
    since = context.clock.now() - DAY
    made = (one for chain, one in entries(context.data / AUDIT) if chain == CHAIN and one.action == RESOLVED)
    asked = (REQUESTED.search(one.object) for one in made if one.tenant == tenant and one.at > since)
    return sum(int(found[1]) for found in asked if found)


def _approved(context: Context, question: AssessmentRequest) -> tuple[str, ReferenceApproval]:
    """Whose references are asked for, and what was approved; RecordError where that is not enough."""
    approval, tenants = question.approval, question.tenants or ()
    if approval is None or len(tenants) != 1:
        raise RecordError("approval", "a request names one tenant and who approved it")
    needed = context.tenant(tenants[0]).reference_approvals
    if not needed:
        raise RecordError("off", "no references of this tenant are handed out")
    if len({*approval.approved_by} - {approval.by}) < needed:
        raise RecordError("approval", "fewer people approved than have to")
    return tenants[0], approval
