"""Suppressions and background as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal

from rich.table import Table

from alerts.noise.background import BenignRules
from alerts.noise.counts import BenignCount
from alerts.noise.suppressions import said
from alerts.records import Suppression
from ullage.display.render import moment, safe
from ullage.display.screen import cell, table

State = Literal["in force", "ended", "lifted"]
IN_FORCE: State = "in force"
Pair = tuple[Suppression, Suppression | None]


def state(one: Suppression, lifted: Suppression | None, now: datetime) -> State:
    """Whether it silences now."""
    return "lifted" if lifted else "ended" if one.expires <= now else IN_FORCE


def line(one: Suppression, zone: tzinfo | None = None) -> str:
    """Who silenced it, until when and why, in one line."""
    return f"suppressed by {safe(one.by)} until {moment(one.expires, zone)}: {safe(one.reason)} ({one.id})"


def as_json(one: Suppression, lifted: Suppression | None, now: datetime) -> dict[str, Any]:
    """As a JSON object; the sketch is for machines and left out."""
    ended = lifted.model_dump(mode="json", include={"at", "by", "reason"}) if lifted else None
    return {
        **one.model_dump(mode="json", exclude={"sketch", "sketch_of", "lifts"}),
        "state": state(one, lifted, now),
        "lifted": ended,
    }


def suppressions_table(found: Sequence[Pair], now: datetime, zone: tzinfo | None = None) -> Table:
    """One line a suppression."""
    made = table("suppression", "tenant", "silences", "by", "why", "until", whole=("suppression",))
    for one, lifted in found:
        standing = state(one, lifted, now)
        ends = moment(one.expires, zone) if standing != "lifted" else f"lifted by {safe(lifted.by) if lifted else ''}"
        texts = map(cell, (one.tenant, said(one), one.by, one.reason))
        style = "" if standing == IN_FORCE else "dim"
        made.add_row(one.id, *texts, ends, style=style)
    return made


def background_table(counts: Sequence[BenignCount], rules: BenignRules) -> Table:
    """One line a site and rule, and the sum."""
    titles = {rule.id: rule.title for rule in rules.rule}
    made = table("tenant", "site", "rule", "posts", "customers", right=("posts", "customers"))
    for count in counts:
        rule = f"{count.rule} {titles.get(count.rule, 'of an earlier version')}"
        made.add_row(cell(count.tenant), cell(count.site), rule, f"{count.posts:,}", f"{count.customers:,}")
    made.add_section()
    made.add_row("", "", "all", f"{sum(count.posts for count in counts):,}", "")
    return made
