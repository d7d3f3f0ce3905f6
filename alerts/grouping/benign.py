"""Decide which findings are benign, by the rules in `background.toml`.

A leak has sample rows, terms of sale, words of a record, a second person or a second field of the
same customer. Each of these signs overrides every rule, whatever a file says. So a rule that is too
wide costs only posts that show one number and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

from pydantic import Field

from alerts.records import Background
from alerts.records.document import Frozen
from alerts.records.sighting import Traits
from ullage.files.rule_files import RuleKind, toml_reader
from ullage.records import Finding
from ullage.vocabulary.lexicon import SAMPLE_ROWS

SELLING = ("TRADE", "SALE", "WANTED", "QUAL", "DATA")
"""Lexicon categories that only sellers use; the others also name crimes and fill news reports."""
SELLING_WEIGHT = 3
"""Least weight of an offer; a single vague word (精准, 去重) weighs less."""
RECORD = "record"
"""Context theme of words that stand beside a person in a file: password, balance, debt."""
ANY = "*"


class BenignRule(Frozen):
    """One rule; see `background.toml`."""

    id: str = Field(pattern=r"B\d{1,3}")
    title: str
    title_zh: str
    reason: str
    kinds: frozenset[str] = Field(min_length=1)
    candidates: int = Field(ge=1)
    fields: frozenset[str]
    jargon: frozenset[str]
    context: dict[str, int] = Field(default_factory=dict)
    categories: frozenset[str] = frozenset()

    def fits(self, traits: Traits) -> bool:
        """Return whether a finding with these traits is benign by this rule.

        Every trait of the finding must be allowed by the rule, and everything that the rule
        requires, such as words of a theme, must be present.
        """
        return (
            traits.candidates.keys() <= self.kinds
            and sum(traits.candidates.values()) <= self.candidates
            and self.fields.issuperset(traits.fields)
            and (ANY in self.jargon or traits.jargon.keys() <= self.jargon)
            and all(traits.context.get(theme, 0) >= words for theme, words in self.context.items())
            and (not self.categories or traits.category.lower() in self.categories)
        )


class BenignRules(Frozen):
    """A file of rules with its version."""

    version: int = Field(ge=1)
    rule: tuple[BenignRule, ...]

    def decide(self, traits: Traits) -> BenignRule | None:
        """Return the rule that makes a finding benign; None if the finding is not."""
        if leak_signs(traits):
            return None
        return next((rule for rule in self.rule if rule.fits(traits)), None)


def leak_signs(traits: Traits) -> tuple[str, ...]:
    """Return the names of the signs of a leak in a finding; () if it has none.

    A finding with any sign is never benign, whatever the rules say.
    """
    signs = {
        "sample rows": traits.rows >= SAMPLE_ROWS,
        "terms of selling": sum(traits.jargon.get(category, 0) for category in SELLING)
        >= SELLING_WEIGHT,
        "words of a record": RECORD in traits.context,
        "a second person": traits.subjects != 1
        or any(count > 1 for count in traits.candidates.values()),
        "a second field of the same customer": traits.own_fields > 1,
    }
    return (*(name for name, is_so in signs.items() if is_so), *traits.signs)


def build_benign_record(
    finding: Finding,
    rule: BenignRule,
    version: int,
    traits: Traits,
    now: datetime,
    ties: tuple[str, ...] = (),
) -> Background:
    """Return the record to store for a `finding` that is benign by `rule`.

    If `ties` is not empty, the record also contains the finding itself: if the same author turns
    out to sell data, the finding is grouped into an incident after all. Raises IndexError without a
    match.
    """
    capture = finding.capture
    return Background(
        id=finding.id,
        tenant=finding.tenant,
        site=capture.site,
        rule=rule.id,
        version=version,
        at=now,
        subject=finding.matches[0].subject,
        kinds=tuple(sorted({match.kind for match in finding.matches})),
        index_tags=tuple(sorted({match.index_tag for match in finding.matches})),
        index_epoch=finding.index_epoch,
        url=capture.url,
        title=capture.title,
        published_at=capture.published_at,
        fetched_at=capture.fetched_at,
        traits=traits,
        ties=ties,
        finding=finding.model_copy(update={"original": ""}).encode().decode() if ties else "",
    )


BACKGROUND = RuleKind("background", "alerts.grouping", "background.toml", toml_reader(BenignRules))


@cache
def load_shipped_rules() -> BenignRules:
    """Return the rules for benign posts that are part of this version of the program."""
    return BACKGROUND.load_shipped().rules
