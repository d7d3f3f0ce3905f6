"""The month in numbers: its targets and its tables, as a page that is printed, and written where
`MONTH_PAGE` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.bench.month.truth import LeakOutcome, tables

PAGED_WITHIN = 300
"""Seconds from the post within which whoever must be woken is told."""
ITEMS_A_DAY, WRONG_PAGES_A_WEEK, ORIGIN_RIGHT = 10.0, 1.0, 0.95
HEADINGS = ("Targets", "Severity", "Origin", "Scam", "What missed", "What was planted")
INTRODUCTION = (
    "# A month of leaks: what is found, and what is said of it\n\n"
    "`make bench ONLY=month` plays thirty days of 200 sites in minutes: {posts:,} posts, of which"
    " {leaks} lists and offers are planted,\n"
    "against {customers:,} customers. With `MONTH_PAGE=harness/bench/detection-month.md` it writes"
    " this page. All people are synthetic.\n"
    "`POSTS` sets how many ordinary posts there are, 300,000 by default: items a day grow with"
    " them, so a smaller run cannot show that\n"
    "that target holds.\n\n"
    "A label says what a careful analyst can know from the post, the list of customers and the"
    " rules of severity and origin. It is not\n"
    "what really happened: where a post leaves it open, a label has several answers, and each"
    " counts as right. Labels are set by the\n"
    "rules before the product is run, and are not changed to fit it."
)


class Target(NamedTuple):
    """What must hold, and what was measured."""

    name: str
    asked: str
    measured: str
    holds: bool


@dataclass(slots=True)
class Month:
    """What is counted of a month of `days`; `items` and `pages` are notifications by what opened
    the incident.
    """

    judged: Sequence[LeakOutcome]
    days: int
    posts: int
    customers: int
    items: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    wrong_pages: Counter[str] = field(default_factory=Counter)
    """Pages for what does not concern the tenant."""

    def targets(self) -> list[Target]:
        """Return every target of the month."""
        missed = [outcome.name for outcome in self.judged if outcome.is_missed]
        high = [outcome for outcome in self.judged if outcome.must_page]
        late = [
            outcome.name
            for outcome in high
            if outcome.paged is None or outcome.paged > PAGED_WITHIN
        ]
        wrong, items = self.wrong_pages.total() / self.days * 7, self.items.total() / self.days
        right = sum(outcome.origin_holds for outcome in self.judged) / len(self.judged)
        claimed = [
            outcome.name
            for outcome in self.judged
            if outcome.kind == "rival" and outcome.got.origin == "ours"
        ]
        return [
            Target("leaks missed", "0", _list_names(len(missed), missed), not missed),
            Target(
                "high and not paged in time",
                f"0 of {len(high)}, {PAGED_WITHIN} s",
                _list_names(len(late), late),
                not late,
            ),
            Target(
                "pages not about us, a week",
                f"≤ {WRONG_PAGES_A_WEEK:g}",
                _by(wrong, self.wrong_pages),
                wrong <= WRONG_PAGES_A_WEEK,
            ),
            Target(
                "items for a human, a day",
                f"≤ {ITEMS_A_DAY:g}",
                _by(items, self.items),
                items <= ITEMS_A_DAY,
            ),
            Target("origin right", f"≥ {ORIGIN_RIGHT}", f"{right:.2f}", right >= ORIGIN_RIGHT),
            Target(
                "rivals' lists called ours", "0", _list_names(len(claimed), claimed), not claimed
            ),
        ]

    def page(self) -> str:
        """Return the whole report in Markdown."""
        parts = [
            INTRODUCTION.format(posts=self.posts, leaks=len(self.judged), customers=self.customers)
        ]
        contents = (
            self._targets(),
            *map(_table, tables(self.judged).values()),
            self._missing_section(),
            self._planted_section(),
        )
        parts += [
            f"## {heading}\n\n{content}"
            for heading, content in zip(HEADINGS, contents, strict=True)
        ]
        return "\n\n".join(parts) + "\n"

    def _targets(self) -> str:
        rows = [
            (target.name, target.asked, target.measured, "yes" if target.holds else "**no**")
            for target in self.targets()
        ]
        measures = [("severity", "severity_holds"), ("scam", "scam_holds")]
        for name, holds in measures:
            right = sum(getattr(target, holds) for target in self.judged)
            rows.append(
                (
                    f"{name} right",
                    "",
                    f"{right / len(self.judged):.2f}, {right} of {len(self.judged)}",
                    "",
                )
            )
        rows.append(("pages, a week", "", _by(self.pages.total() / self.days * 7, self.pages), ""))
        return _table([("what", "asked", "measured", "holds"), *rows])

    def _missing_section(self) -> str:
        rows = [row for outcome in self.judged for row in _differences(outcome)]
        return _table([("planted", "what", "should be", "is"), *rows]) if rows else "Nothing."

    def _planted_section(self) -> str:
        head = (
            "planted",
            "kind",
            "may be said of it (row of the severity table: origin, severity, scam)",
            "said",
            "paged",
        )
        rows = [
            (
                outcome.name,
                outcome.kind,
                _answers(outcome),
                _describe(outcome),
                _describe_page(outcome),
            )
            for outcome in self.judged
        ]
        return _table([head, *rows])


def _differences(one: LeakOutcome) -> Iterator[tuple[str, str, str, str]]:
    for what in ("origin", "severity", "scam"):
        if not getattr(one, f"{what}_holds"):
            answers = dict.fromkeys(str(getattr(answer, what)) for answer in one.label)
            yield one.name, what, " or ".join(answers), str(getattr(one.got, what))


def _answers(one: LeakOutcome) -> str:
    return "; or ".join(
        f"{a.row}: {a.origin}, {a.severity}, {'any' if a.scam == '*' else a.scam}"
        for a in one.label
    )


def _describe(one: LeakOutcome) -> str:
    return f"{', '.join(one.got[:3])} ({one.detail})" if one.detail else one.got.origin


def _describe_page(one: LeakOutcome) -> str:
    return "" if one.paged is None else f"{one.paged:.0f} s"


def _list_names(count: int, names: Sequence[str]) -> str:
    return f"{count}: {'; '.join(names)}" if names else "0"


def _by(number: float, genres: Counter[str]) -> str:
    words = ", ".join(f"{genre} {count}" for genre, count in genres.most_common())
    return f"{number:.1f} ({words})" if words else "0"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown whose first row is the head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
