"""How a verdict looks on a terminal: one screen, the answer first, every reason beneath."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from matcher.assess import Verdict
from matcher.unpack.outcome import Outcome
from ullage.records import Statistics
from ullage.screen import next_line
from ullage.verdict import Reason, in_words

COLOUR = {
    "statutory": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "yellow",
    "notice": "cyan",
    "noise": "dim",
}
ORIGIN = {
    "ours": "bold red",
    "partner": "red",
    "elsewhere": "green",
    "recycled": "green",
    "fabricated": "cyan",
    "unknown": "yellow",
}
ORIGIN_WORDS = {
    "ours": "OURS: these rows agree with our own records",
    "elsewhere": "ELSEWHERE: a leak of somebody else with customers of ours in it",
    "fabricated": "FABRICATED: looks generated",
    "unknown": "UNKNOWN: too little to tell whose leak it is",
    "partner": "PARTNER {label}: bait that it alone was given is in it",
    "recycled": "RECYCLED: these customers stood with the same fields in an incident before",
}


SHOWN_UNREAD = 20
"""Parts of a file that are named where they were not read; of more only how many there are."""
NO_VERDICT = "Nothing says that nobody is in it: ask for a password, for the data as text, or for a copy that is whole."


def show(console: Console, name: str, whole: Statistics, found: list[Verdict], outcomes: Sequence[Outcome]) -> None:
    """Print the verdict on a file; `outcomes` say what of it was not read."""
    console.print(_file(name, whole, outcomes))
    for verdict in found:
        shown = verdict.customers or verdict.exposure.score
        console.print(_tenant(verdict, is_whole=not outcomes) if shown else _nothing(verdict, is_whole=not outcomes))
    if outcomes and not any(verdict.customers for verdict in found):
        console.print(Text.assemble(("NO VERDICT  ", "bold yellow"), (NO_VERDICT, "yellow")))


def _file(name: str, whole: Statistics, outcomes: Sequence[Outcome]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    valid = ", ".join(f"{count} {kind}" for kind, count in whole.candidates.items()) or "none"
    failed = ", ".join(f"{count} {kind}" for kind, count in whole.failures.items()) or "none"
    grid.add_row("file", Text(name, style="bold"))
    grid.add_row("rows", f"{whole.rows}" + (f"   newest date {whole.newest_date}" if whole.newest_date else ""))
    grid.add_row("identifiers", f"{valid}   (checksum fails: {failed})")
    grid.add_row("fields", " ".join(f"{label} {count}" for label, count in whole.field_map.items()) or "none recognised")
    if whole.skeleton:
        grid.add_row("row", Text(whole.skeleton))
    if whole.terms:
        grid.add_row("jargon", ", ".join(f"{t.id} ({t.category.lower()})" for t in whole.terms[:8]))
    if whole.estimated:
        grid.add_row("counts", "of different identifiers are estimates, within 0.1 %: there are too many to keep")
    if outcomes:
        lines = [str(outcome) for outcome in outcomes[:SHOWN_UNREAD]]
        lines += [f"and {len(outcomes) - SHOWN_UNREAD} more"] if outcomes[SHOWN_UNREAD:] else []
        grid.add_row("not read", Text("\n".join(lines), style="yellow"))
    return grid


def _tenant(verdict: Verdict, *, is_whole: bool) -> Panel:
    exposure, origin = verdict.exposure, verdict.origin
    head = Text.assemble(
        (f"{exposure.severity.upper()}  ", COLOUR[exposure.severity]),
        (f"exposure {exposure.score}/100   ", "bold"),
        (ORIGIN_WORDS[origin.verdict].format(label=origin.label), ORIGIN[origin.verdict]),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    kinds = ", ".join(f"{count} {kind}" for kind, count in verdict.kinds.items())
    at_least = "" if is_whole else "at least "
    grid.add_row("who", f"{at_least}{verdict.customers} of {verdict.watchlist:,} customers   ({kinds})")
    grid.add_row(
        "rows", f"{verdict.matched_rows} hold a customer, {verdict.corroborated_rows} with two or more fields of one customer"
    )
    if verdict.logins:
        grid.add_row("logins", f"{verdict.logins} different logins at the tenant's own sites")
    if verdict.own_cards:
        grid.add_row("own cards", f"{verdict.own_cards} valid cards of the tenant's ranges that are not enrolled")
    grid.add_row("by chance", f"{in_words(verdict.expected_by_chance)} phones would match")
    if exposure.scenario:
        grid.add_row("likely scam", f"{exposure.title}  {exposure.title_zh}")
    *points, why = exposure.reasons
    grid.add_row("exposure", _points(points))
    grid.add_row("severity", Text(why.evidence))
    grid.add_row("origin", _points(origin.reasons))
    return Panel(
        Group(head, next_line(verdict.next_step), Text(), grid),
        title=f"tenant {verdict.tenant}",
        title_align="left",
        border_style=ORIGIN[origin.verdict],
    )


def _points(reasons: Sequence[Reason]) -> Table:
    """What an answer is made of; a long line goes on below its text, not below its points, of which the origin has none."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    grid.add_column()
    for reason in reasons:
        grid.add_row("·" if reason.code.startswith("O") else f"{reason.points:+d}", Text(reason.evidence))
    return grid


def _nothing(verdict: Verdict, *, is_whole: bool) -> Text:
    searched = "it" if is_whole else "what was read"
    said = f"tenant {verdict.tenant}: none of {verdict.watchlist:,} customers is in {searched}"
    return Text(said, style="green" if is_whole else "yellow")
