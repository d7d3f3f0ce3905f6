"""`ullage source`: state whose leak explains the victims of fraud, without a post."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated

import numpy as np
import typer

from matcher.cli.source.candidates import SourceCandidates, gather_candidates
from matcher.cli.source.report import SourceReport, pool_odds, print_statement
from matcher.cli.watchlist_options import TenantName, require_enrolled_tenant
from matcher.leak_source.background import estimate_excess, weigh_exposure
from matcher.leak_source.candidates import FEW
from matcher.leak_source.statement import MORE_CASES, VICTIMS_PRIOR, Verdict, state_source
from matcher.leak_source.victims import VictimModel, Victims
from matcher.watchlist import installation
from matcher.watchlist.transfers import path_of, read_transfers
from ullage.audit import current_user
from ullage.display.screen import AsJson, By, print_row
from ullage.errors import ConfigError, Exit
from ullage.incidents import ReportedCase, connect_fraud_cases
from ullage.settings import Context


def source(
    ctx: typer.Context,
    *,
    tenant: TenantName,
    purpose: Annotated[str, typer.Option(help="Why it is asked, for the audit log.")],
    since: Annotated[
        str,
        typer.Option(
            metavar="DATE",
            help=(
                "Count victims with a first contact from this day on; earlier cases then show how"
                " often each candidate's customers are victims anyway."
            ),
        ),
    ] = "",
    scam: Annotated[str, typer.Option(help="Count only cases of this scam.")] = "",
    strata: Annotated[
        str,
        typer.Option(
            help=(
                "Comma-separated dimensions of labels that describe people, not candidates; by"
                " default age, age_band, product, region and tenure."
            )
        ),
    ] = "",
    names: Annotated[
        bool, typer.Option("--names", help="Show the names of recipients, not only their ids.")
    ] = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """State who may have leaked the data of the victims of fraud, from the cases that were reported
    without a post, on the host of the customer list.
    """
    context: Context = ctx.obj
    require_enrolled_tenant(context, tenant)
    if not purpose.strip():
        raise ConfigError("--purpose must not be empty: the audit log records it")
    start = _parse_day(since)
    dimensions = [name.strip() for name in strata.split(",") if name.strip()]
    with connect_fraud_cases(context, by=by) as stored:
        cases = [case for case in stored.list_cases(tenant) if scam in ("", case.scam)]
    candidates = _open_candidates(context, tenant, dimensions, may_be_named=names)
    group = VictimGroup.split(candidates, cases, start)
    fields, earlier = group.victims.fields, len(group.earlier)
    report = _state(
        group, SourceReport(tenant, since, scam, candidates, fields, earlier, group.unlisted)
    )
    count = f"{report.statement.rows} victims" if report.statement.rows else "fewer than 20 victims"
    context.trail().append(
        "source.state",
        f"source from {count}: {report.statement.verdict}",
        actor=by or current_user(),
        tenant=tenant,
        reason=purpose.strip(),
    )
    if as_json:
        print_row(report.as_json())
    else:
        print_statement(report)
    if report.statement.verdict == Verdict.CANNOT_TELL:
        raise typer.Exit(Exit.NO_VERDICT)


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError("--since must be a day such as 2026-01-31") from None


def _open_candidates(
    context: Context, tenant: str, strata: Sequence[str], *, may_be_named: bool
) -> SourceCandidates:
    installed = installation.load(context, tenant)
    if not installed:
        raise ConfigError(
            f"no valid customer list of {tenant} is on this host: run this where the list is"
            " installed"
        )
    transfers = read_transfers(path_of(context.data, tenant), context.keys, tenant)
    return gather_candidates(
        installed[0].epochs[-1].list, transfers, strata, may_be_named=may_be_named
    )


@dataclass(frozen=True, slots=True)
class VictimGroup:
    """The victims of a burst, and the customers of earlier cases, as rows of the candidates."""

    victims: Victims
    earlier: tuple[int, ...]
    unlisted: int
    """Cases of customers whom the list lacks."""

    @classmethod
    def split(
        cls, candidates: SourceCandidates, cases: Sequence[ReportedCase], start: date | None
    ) -> VictimGroup:
        """Divide cases by their first contact.

        Victims are counted in tens, in the order of their reports: two statements that differ by
        one victim would show what that customer's data was given to.
        """
        pseudonyms = np.frombuffer(
            bytes.fromhex("".join(case.subject for case in cases)), np.uint8
        ).reshape(-1, 16)
        rows = candidates.find_rows(pseudonyms).tolist()
        burst, earlier = list[tuple[int, ReportedCase]](), list[int]()
        for row, case in zip(rows, cases, strict=True):
            if row >= 0 and start and case.first_contact < start:
                earlier.append(row)
            elif row >= 0:
                burst.append((row, case))
        burst = burst[: len(burst) // MORE_CASES * MORE_CASES]
        victims = Victims(
            np.array([row for row, _ in burst], np.int64),
            np.array([case.first_contact.toordinal() for _, case in burst], np.int64),
            _find_common_fields([case for _, case in burst]),
        )
        return cls(victims, tuple(earlier if len(earlier) >= FEW else ()), rows.count(-1))


def _find_common_fields(cases: Sequence[ReportedCase]) -> frozenset[str]:
    """Return what most callers knew, by the cases that say anything; none from fewer than 20."""
    stated = [case.known_fields for case in cases if case.known_fields]
    counts = Counter(label.value for labels in stated for label in labels)
    return frozenset(
        label for label, count in counts.items() if len(stated) >= FEW and 2 * count > len(stated)
    )


def _state(group: VictimGroup, report: SourceReport) -> SourceReport:
    """Return the report with its statement, which is TOO_FEW below 20 victims."""
    members, victims = report.candidates.members, group.victims
    if len(victims.customers) < FEW:
        return report
    excess = estimate_excess(members, np.array(group.earlier, np.int64))
    model = VictimModel.from_exposure(members, weigh_exposure(members, excess))
    statement = state_source(
        model.score(victims), members.candidates, VICTIMS_PRIOR, members.unexaminable
    )
    return replace(report, statement=statement, odds=pool_odds(statement, model, victims))
