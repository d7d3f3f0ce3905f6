"""Rules, their precision and trials of others, as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts.records import SEVERITIES
from alerts.rules.dry import DryRun, Hidden
from alerts.rules.precision import Precision
from alerts.rules.trial import FOLDED, UNRAISED, Judged, Trial
from ullage.display.render import moment
from ullage.display.screen import cell, table

SHOWN = 50
"""Changed incidents that a terminal lists; `--json` lists all."""


def precision_in_words(rule: Precision) -> str:
    """Share and number of marks; a background rule's posts are not marked by anybody."""
    if rule.kind == "background":
        return "–"
    return "no marks yet" if rule.share is None else f"{rule.share:.0%} of {rule.real + rule.false}"


def precision_as_json(rule: Precision) -> dict[str, Any]:
    """One rule as a JSON object."""
    last = rule.last.isoformat() if rule.last else None
    return {**rule._asdict(), "last": last, "precision": rule.share, "marked": rule.real + rule.false}


def precision_table(rules: Sequence[Precision]) -> Table:
    """One line a rule, a section a kind."""
    made = table("rule", "what it says", "incidents", "real", "false", "precision", "last", right=("incidents", "real", "false"))
    kind = ""
    for rule in rules:
        if rule.kind != kind:
            made.add_section()
            made.add_row(Text(rule.kind, "bold"), Text("posts, not incidents", "dim") if rule.kind == "background" else "")
            kind = rule.kind
        counts = (f"{n:,}" if n else "–" for n in (rule.incidents, rule.real, rule.false))
        made.add_row(
            cell(rule.id), cell(rule.title), *counts, precision_in_words(rule), f"{rule.last:%Y-%m-%d}" if rule.last else "–"
        )
    return made


def dry_table(rules: Sequence[Hidden]) -> Table:
    """One line a background rule."""
    heads = ("rule", "what it says", "set aside", "in incidents", "incidents", "real", "false", "such as")
    made = table(*heads, right=heads[2:7])
    for one in rules:
        counts = (f"{n:,}" if n else "–" for n in (one.aside, one.raised, one.incidents, one.real, one.false))
        made.add_row(cell(one.rule), cell(one.title), *counts, ", ".join(one.examples))
    return made


def dry_in_words(found: DryRun) -> str:
    """How many posts were decided, and of how many nothing can be said."""
    unknown = f", of {found.unknown:,} nothing can be said: their traits were not kept" if found.unknown else ""
    back = f"; {found.back:,} that were set aside would be raised" if found.back else ""
    return f"{found.posts:,} posts since {moment(found.since)}{unknown}{back}. Nothing was written."


def trial_as_json(trial: Trial) -> dict[str, Any]:
    """The whole outcome as one JSON object."""
    changes = [
        {"incident": c.incident, "tenant": c.tenant, "before": c.before._asdict(), "after": c.after._asdict()}
        for c in trial.changes
    ]
    posts = [{"site": site, "before": b, "after": a, "posts": n} for (site, b, a), n in sorted(trial.posts.items())]
    severity = [{"before": b, "after": a, "incidents": n} for (b, a), n in sorted(trial.by_severity().items())]
    told = {"judged": trial.judged, "frozen": trial.frozen, "changed": len(trial.changes) + trial.posts.total()}
    return {**told, "severities": severity, "incidents": changes, "posts": posts}


def trial_in_full(trial: Trial) -> RenderableType:
    """What would change, the largest changes first; then the sums."""
    parts: list[RenderableType] = []
    if trial.changes:
        parts.append(_changes_table(trial))
        if len(trial.changes) > SHOWN:
            parts.append(f"… and {len(trial.changes) - SHOWN} more: --json lists all")
    if trial.posts:
        parts.append(_posts_table(trial))
    ordered = sorted(trial.by_severity().items(), key=lambda item: tuple(map(SEVERITIES.index, item[0])))
    parts += [f"{count:,} from {before} to {after}" for (before, after), count in ordered]
    frozen = f"; {trial.frozen:,} are frozen and keep theirs" if trial.frozen else ""
    changed = len(trial.changes) + trial.posts.total()
    parts.append(Text(f"{changed:,} of {trial.judged:,} would be judged otherwise{frozen}. Nothing was written.", "bold"))
    return Group(*parts)


def _changes_table(trial: Trial) -> Table:
    made = table("incident", "tenant", "severity", "exposure", "scenario", "origin", whole=("incident",))
    for change in trial.changes[:SHOWN]:
        pairs = zip(map(str, change.before), map(str, change.after), strict=True)
        cells = dict(zip(Judged._fields, (b or "–" if b == a else f"{b or '–'} → {a or '–'}" for b, a in pairs), strict=True))
        shown = (cells[name] for name in ("severity", "exposure", "scenario", "origin"))
        made.add_row(change.incident, cell(change.tenant), *shown)
    return made


def _posts_table(trial: Trial) -> Table:
    made = table("site", "posts", "are", "would be", right=("posts",))
    for (site, before, after), count in sorted(trial.posts.items(), key=lambda item: (-item[1], item[0])):
        made.add_row(cell(site), f"{count:,}", *map(_place, (before, after)))
    return made


def _place(one: str) -> str:
    return {FOLDED: "in an incident", UNRAISED: "raised by nothing"}.get(one, f"background by {one}")
