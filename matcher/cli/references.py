"""Resolve the pseudonyms of an incident to customer references for the console (`ullage.runtime.assessing`).

It is off unless the tenant's `reference_approvals` says how many people approve, and unless `T.subjects` and the resolver's key
are on this host. Match takes search's word for names alone: it counts them itself, and its own audit log has the case, the
reason and all names before the first reference leaves. A process of its own does so, whose memory goes with it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from matcher.watchlist import subjects
from matcher.watchlist.installation import BUILDING
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.runtime.assessing import AssessmentRequest, ReferenceApproval
from ullage.settings import Context

CHAIN = "match"
MOST = 100_000
"""Pseudonyms of one request."""


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

    RecordError says in its reason why there are none: `off`, `approval`, `too_many`, `absent` or `damaged`.
    """
    tenant, approval = _approved(context, question)
    if len(wanted) > MOST:
        raise RecordError("too_many", f"at most {MOST:,} pseudonyms are resolved at once")
    if not _is_here(context, tenant):
        raise RecordError("absent", "the way back from pseudonyms is not on this host")
    try:
        found = subjects.resolve(_home(context, tenant), context.keys, tenant, wanted)
    except (ConfigError, CorruptError):
        raise RecordError("damaged", "the way back from pseudonyms cannot be read") from None
    what = f"case {approval.case}, incident {approval.incident}: {len(wanted)} pseudonyms requested, {len(found)} found"
    what += f", approved by {' and '.join(approval.approved_by)}"
    context.trail(CHAIN).append("subjects.resolve", what, actor=approval.by, tenant=tenant, reason=approval.reason)
    return found


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
