"""What `ullage source` prints: the statement in words, its numbers, and what would decide.

It has ids, ratios and counts of at least 20. No customer is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, log
from typing import Any

import typer

from matcher.cli.source.candidates import SourceCandidates
from matcher.leak_source.candidates import Candidate, Reason
from matcher.leak_source.excess import OddsRatio, bound_confounding, count_victims_needed
from matcher.leak_source.hypotheses import NONE_PRIORS
from matcher.leak_source.statement import (
    VICTIMS_PRIOR,
    Assessment,
    SourceStatement,
    Verdict,
    to_public_count,
)
from matcher.leak_source.victims import VictimModel, Victims
from ullage.display.listing import Listing
from ullage.display.screen import print_listing

SHOWN = 5
"""Candidates that are shown, the most probable first."""
HALF = 0.5
"""Share of the victims that a source is assumed to explain where victims still needed are named."""
MOST_NEEDED = 10_000
"""Where more victims are needed, numbers do not decide."""
WHY_NOT: Mapping[str, str] = {
    "too_few": "fewer than 20 victims are known",
    "no_candidate": "no candidate could be examined",
    "priors_disagree": "it depends on how probable an unknown source is taken to be",
    "perhaps_none": "an unknown source, or none, remains possible",
    "too_many": "more than five explanations remain",
}
UNEXAMINED: Mapping[Reason, str] = {
    "too_few": "fewer than 20 customers",
    "too_few_of_staff": "an employee's list of fewer than 200 customers",
    "equals_strata": "its customers are those of whole strata",
}
NONE = "none of these"
CAUTION = (
    "The ratio says how much more probable the evidence is if that source leaked, and not how"
    " probable it is that it leaked. Quote ratio, prior and probability together. Use this to warn,"
    " ask, preserve and report, never alone to accuse."
)


TOO_FEW = SourceStatement(Verdict.CANNOT_TELL, "too_few", None, VICTIMS_PRIOR, VICTIMS_PRIOR)


@dataclass(frozen=True)
class SourceReport:
    """A statement of source with what it rests on."""

    tenant: str
    since: str
    scam: str
    candidates: SourceCandidates
    fields: frozenset[str]
    """What most callers knew."""
    earlier: int
    """Cases before `since`."""
    unlisted: int
    """Cases of customers whom the list lacks."""
    statement: SourceStatement = TOO_FEW
    odds: Mapping[str, OddsRatio] = field(default_factory=dict)
    """The odds ratios of the candidates that are shown."""

    def name(self, id_: str) -> str:
        """Return what a candidate is called here: its id, with its name where that may be shown."""
        shown = self.candidates.names.get(id_, id_)
        return f"{id_} ({shown})" if shown != id_ else id_

    def list_deciding(self) -> list[str]:
        """Return what would decide between the candidates that remain."""
        statement = self.statement
        if len(statement.assessments) < 1:
            return ["more reported fraud cases: at least 20 victims are needed"]
        first = statement.assessments[0]
        deciding = []
        if len(statement.assessments) > 1:
            deciding += self._compare(first.candidate, statement.assessments[1].candidate)
        if statement.verdict in (Verdict.CANNOT_TELL, Verdict.SEVERAL) and not self.fields:
            deciding.append(
                "what the callers knew (column knew): it separates sources that had different"
                " fields"
            )
        if any(not members for members in statement.credible_set) or first.inclusion > HALF:
            deciding.append(
                f"honeytokens in the next transfer to {self.name(first.candidate.id)}: an unlisted"
                " source with many of its customers looks the same to any number of victims"
            )
        return deciding

    def _compare(self, first: Candidate, second: Candidate) -> list[str]:
        """Return what would tell two candidates apart."""
        members = self.candidates.members
        numbers = {candidate.id: n for n, candidate in enumerate(members.candidates)}
        one_way, size = numbers[first.id], members.sizes.sum(axis=0)
        shared = int(members.count_shared(one_way)[:, numbers[second.id]].sum())
        overlap = shared / max(1, int(size[one_way]), int(size[numbers[second.id]]))
        exposure = int(size[one_way]) / max(1, len(members))
        pair = f"{self.name(first.id)} from {self.name(second.id)}"
        deciding = []
        victims = count_victims_needed(HALF, exposure, overlap) if exposure > 0 else float("inf")
        if not isfinite(victims) or victims > MOST_NEEDED:
            deciding.append(
                f"other evidence than victims: no number of them tells {pair}, because the two had"
                " nearly the same customers"
            )
        elif self.statement.verdict in (Verdict.CANNOT_TELL, Verdict.SEVERAL):
            deciding.append(
                f"about {max(20, round(victims))} victims tell {pair}, if half come from one"
            )
        # without recorded fields nothing is known of what a source had
        differing = sorted(first.fields ^ second.fields) if first.fields and second.fields else []
        if differing:
            deciding.append(
                f"whether callers knew {' '.join(differing)}, which only one of"
                f" {self.name(first.id)} and {self.name(second.id)} received"
            )
        return deciding

    def as_json(self) -> dict[str, Any]:
        """Return the statement as JSON; ratios are common logarithms."""
        statement = self.statement
        return {
            "tenant": self.tenant,
            "method": statement.method,
            "since": self.since or None,
            "scam": self.scam or None,
            "victims": statement.rows,
            "earlier_cases": to_public_count(self.earlier),
            "verdict": statement.verdict.value,
            "reason": statement.reason or None,
            "prior_none": statement.prior_none,
            "probability_none": round(statement.probability_none, 6),
            "set": [list(members) for members in statement.credible_set],
            "candidates": [self._assessment_as_json(each) for each in statement.assessments],
            "unexamined": dict(statement.unexamined or {}),
            "known_fields": sorted(self.fields),
            "would_decide": self.list_deciding(),
        }

    def _assessment_as_json(self, assessment: Assessment) -> dict[str, Any]:
        candidate, odds = assessment.candidate, self.odds.get(assessment.candidate.id)
        rival = assessment.log_to_rival
        return {
            "id": candidate.id,
            "name": self.candidates.names.get(candidate.id),
            "kind": candidate.kind,
            "probability": round(assessment.inclusion, 6),
            "probability_by_prior_none": {
                str(prior): round(value, 6) for prior, value in assessment.inclusions.items()
            },
            "log10_ratio": _to_log10(assessment.log_ratio),
            "support": assessment.words,
            "log10_ratio_to_best_rival": _to_log10(rival) if isfinite(rival) else None,
            "log10_e_value": _to_log10(assessment.log_e),
            "log10_added": {name: _to_log10(part) for name, part in assessment.parts.items()},
            "odds_ratio": [round(value, 3) for value in (odds.estimate, odds.low, odds.high)]
            if odds
            else None,
            "confounding_bound": round(bound_confounding(odds.estimate), 3) if odds else None,
        }


def pool_odds(
    statement: SourceStatement, model: VictimModel, victims: Victims
) -> dict[str, OddsRatio]:
    """Return the odds ratios of the candidates that are shown, by id, where there is one."""
    numbers = {candidate.id: n for n, candidate in enumerate(model.members.candidates)}
    ids = [assessment.candidate.id for assessment in statement.assessments[:SHOWN]]
    odds = ((id_, model.pool_odds(victims, numbers[id_])) for id_ in ids)
    return {id_: ratio for id_, ratio in odds if ratio is not None}


def _to_log10(logarithm: float) -> float:
    return round(logarithm / log(10), 3)


def format_ratio(logarithm: float) -> str:
    """Return a ratio for people, from its natural logarithm.

    >>> format_ratio(log(1234.5)), format_ratio(log(0.02)), format_ratio(log(1e9))
    ('1,230', '0.02', '10^9.0')
    """
    if not isfinite(logarithm):
        return "–"
    power = logarithm / log(10)
    if abs(power) >= 6:
        return f"10^{power:.1f}"
    return f"{float(f'{10**power:.3g}'):,g}" if power < 2 else f"{round(10**power, -1):,.0f}"


def print_statement(report: SourceReport) -> None:
    """Print the statement for people."""
    statement = report.statement
    count = f"{statement.rows} victims of fraud" if statement.rows else "fewer than 20 victims"
    chosen = f"{f' since {report.since}' if report.since else ''}, {report.scam or 'any scam'}"
    typer.echo(f"{report.tenant}: statement of source from {count}{chosen}")
    typer.echo(f"{statement.verdict}{_describe(report)}")
    if not statement.assessments:
        return
    hypotheses = ("; ".join(" with ".join(map(report.name, members)) or NONE
                            for members in statement.credible_set))  # fmt: skip
    typer.echo(f"95 % set: {hypotheses}")
    table = Listing(
        ("candidate", "probability", "ratio", "support", "to best rival", "e-value", "odds ratio"),
        whole=("probability", "ratio"),
    )
    for assessment in statement.assessments[:SHOWN]:
        odds = report.odds.get(assessment.candidate.id)
        table.add_row(
            report.name(assessment.candidate.id),
            f"{assessment.inclusion:.3f}",
            format_ratio(assessment.log_ratio),
            assessment.words,
            format_ratio(assessment.log_to_rival),
            format_ratio(assessment.log_e),
            f"{odds.estimate:.2f} ({odds.low:.2f}–{odds.high:.2f})" if odds else "–",
        )
    print_listing(table)
    _print_parts(report, statement.assessments[0])
    _print_basis(report)
    typer.echo(CAUTION)


def _describe(report: SourceReport) -> str:
    """Return what follows the verdict: candidate and probabilities, or the reason."""
    statement = report.statement
    if statement.reason:
        return f": {WHY_NOT[statement.reason]}"
    if statement.verdict in (Verdict.NAMED, Verdict.INDICATION):
        first = statement.assessments[0]
        priors = ", ".join(f"{prior:g}: {first.inclusions[prior]:.3f}" for prior in NONE_PRIORS)
        return (
            f": {report.name(first.candidate.id)}, probability {first.inclusion:.3f} (by the prior"
            f' probability of "{NONE}": {priors})'
        )
    return f', probability of "{NONE}" {statement.probability_none:.3f}'


def _print_parts(report: SourceReport, first: Assessment) -> None:
    parts = ", ".join(f"{name} {_to_log10(part):+.1f}" for name, part in first.parts.items())
    total = _to_log10(first.log_ratio)
    typer.echo(
        f"what each kind of evidence adds to the ratio of {report.name(first.candidate.id)}, as"
        f" powers of ten: {parts}; together {total:+.1f}"
    )


def _print_basis(report: SourceReport) -> None:
    statement = report.statement
    earlier = (
        f"{report.earlier} earlier cases give each candidate's usual excess"
        if report.earlier
        else "no earlier cases: each candidate's usual excess is unknown"
    )
    typer.echo(f'prior probability of "{NONE}" {statement.prior_none:g}; {earlier}')
    if report.fields:
        typer.echo(f"most callers knew: {' '.join(sorted(report.fields))}")
    if report.unlisted:
        count = to_public_count(report.unlisted) or "fewer than 20"
        typer.echo(f"not counted: {count} cases of customers whom the list lacks")
    for id_, reason in (statement.unexamined or {}).items():
        typer.echo(f"not examined, which clears nobody: {report.name(id_)}, {UNEXAMINED[reason]}")
    for sentence in report.list_deciding():
        typer.echo(f"would decide: {sentence}")
