"""Replays of rules, as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts.records import SEVERITIES
from alerts.rules.replay import FOLDED, UNRAISED, ReplayedVerdict, RuleCount, RuleReplay
from ullage.display.screen import cell, table

SHOWN = 50
"""Changed incidents that a terminal lists; `--json` lists all."""


def _counts_table(counts: Sequence[RuleCount]) -> Table:
    """One line a rule."""
    made = table(
        "rule",
        "what it says",
        "incidents",
        "posts",
        "confirmed",
        "false",
        "precision",
        right=("incidents", "posts", "confirmed", "false"),
    )
    for one in counts:
        numbers = (f"{n:,}" if n else "–" for n in (one.incidents, one.posts, one.confirmed, one.false_positives))
        precision = "–" if one.precision is None else f"{one.precision:.0%}"
        made.add_row(cell(one.rule), cell(one.title), *numbers, precision)
    return made


def replay_as_json(replay: RuleReplay, counts: Sequence[RuleCount]) -> dict[str, Any]:
    """The whole outcome as one JSON object."""
    changes = [
        {"incident": c.incident, "tenant": c.tenant, "before": c.before._asdict(), "after": c.after._asdict()}
        for c in replay.changes
    ]
    posts = [{"site": site, "before": b, "after": a, "posts": n} for (site, b, a), n in sorted(replay.posts.items())]
    severity = [{"before": b, "after": a, "incidents": n} for (b, a), n in sorted(replay.by_severity().items())]
    told = {
        "kind": replay.kind,
        "judged": replay.judged,
        "frozen": replay.frozen,
        "changed": len(replay.changes) + replay.posts.total(),
    }
    rules = [{**one._asdict(), "precision": one.precision} for one in counts]
    return {**told, "severities": severity, "incidents": changes, "posts": posts, "rules": rules}


def replay_in_full(replay: RuleReplay, counts: Sequence[RuleCount]) -> RenderableType:
    """Each rule's counts, what would change with the largest changes first, and the sums."""
    parts: list[RenderableType] = [_counts_table(counts)]
    if replay.changes:
        parts.append(_changes_table(replay))
        if len(replay.changes) > SHOWN:
            parts.append(f"… and {len(replay.changes) - SHOWN} more: --json lists all")
    if replay.posts:
        parts.append(_posts_table(replay))
    ordered = sorted(replay.by_severity().items(), key=lambda item: tuple(map(SEVERITIES.index, item[0])))
    parts += [f"{count:,} from {before} to {after}" for (before, after), count in ordered]
    frozen = f"; {replay.frozen:,} are frozen and keep theirs" if replay.frozen else ""
    changed = len(replay.changes) + replay.posts.total()
    parts.append(Text(f"{changed:,} of {replay.judged:,} would be judged otherwise{frozen}. Nothing was written.", "bold"))
    return Group(*parts)


def _changes_table(replay: RuleReplay) -> Table:
    made = table("incident", "tenant", "severity", "exposure", "scenario", "origin", whole=("incident",))
    for change in replay.changes[:SHOWN]:
        pairs = zip(map(str, change.before), map(str, change.after), strict=True)
        cells = dict(
            zip(ReplayedVerdict._fields, (b or "–" if b == a else f"{b or '–'} → {a or '–'}" for b, a in pairs), strict=True)
        )
        shown = (cells[name] for name in ("severity", "exposure", "scenario", "origin"))
        made.add_row(change.incident, cell(change.tenant), *shown)
    return made


def _posts_table(replay: RuleReplay) -> Table:
    made = table("site", "posts", "are", "would be", right=("posts",))
    for (site, before, after), count in sorted(replay.posts.items(), key=lambda item: (-item[1], item[0])):
        made.add_row(cell(site), f"{count:,}", *map(_place, (before, after)))
    return made


def _place(one: str) -> str:
    return {FOLDED: "in an incident", UNRAISED: "raised by nothing"}.get(one, f"benign by {one}")
