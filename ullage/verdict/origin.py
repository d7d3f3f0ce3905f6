"""Origin: whose leak it is, from the strongest evidence down.

    fabricated   checksums fail, numbers run in steps, or own cards that nobody holds; and hardly a row agrees with a customer
    recycled     the same customers stood with the same fields in incidents before
    partner      bait that only one party was given
    ours         rows agree with our records far beyond what another's list would (`ours.py`), or show what only we know
    elsewhere    as many customers as chance gives, in enough rows to tell
    unknown      too little to tell

The base-rate test is exact: of m distinct valid phones, h belong to customers; by chance each would with probability
customers ÷ numbers in circulation. (Figures computed elsewhere: m=200, h=3 at 0.01 gives p = 0.32; h=10 gives 4e-5.) A list of
another platform is no random list, its people use such services: up to three times the odds of chance still say elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.records import Canary, Cohort
from ullage.verdict.facts import Facts, Reason, in_chinese, in_words, p_in_words
from ullage.verdict.ours import agrees, odds, threshold
from ullage.verdict.rules import OriginRules
from ullage.verdict.tails import binomial_tail, hypergeometric_tail

SHOWN_COHORTS = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """The answer and its evidence.

    `label` is the partner's, `p` the probability that chance alone gives as many matched phones, `expected` how many it would,
    `by_chance` whether that, or another's list, explains what matched; `canaries` are the labels of bait that counts.
    """

    verdict: str
    p: float
    expected: float
    reasons: tuple[Reason, ...]
    label: str = ""
    by_chance: bool = False
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Base:
    """How much of the list matched, against chance."""

    trials: int
    matched: int
    what: tuple[str, str]
    """In English, and in Chinese with the word that it is counted by."""
    p: float
    expected: float

    @property
    def share(self) -> float:
        """Of what was counted, what is a customer's."""
        return self.matched / self.trials if self.trials else 0.0


def judge_origin(facts: Facts, rules: OriginRules) -> Origin:
    """Whose leak `facts` describe."""
    base = _base(facts)
    canaries = tuple(sorted(c.label for c in facts.canaries if _counts(c, facts, rules)))
    cohorts = [cohort for cohort in facts.cohorts if _tail(cohort, facts) < rules.certain]
    like = odds(base.share) < rules.alike * odds(facts.chance)
    by_chance = not facts.people.customers or base.p > rules.few or like
    verdict = _verdict(facts, base, canaries, cohorts, by_chance=by_chance, rules=rules)
    label = canaries[0] if verdict == "partner" else ""
    reasons = (*_counted(facts, base, rules), *_known(facts, canaries, cohorts, rules))
    only_chance = by_chance and verdict in ("elsewhere", "unknown")
    return Origin(verdict, base.p, base.expected, tuple(reasons), label, only_chance, canaries)


def _verdict(
    facts: Facts, base: Base, canaries: tuple[str, ...], cohorts: list[Cohort], *, by_chance: bool, rules: OriginRules
) -> str:
    if _is_made_up(facts, rules) and facts.corroborated_rows < max(2, facts.rows // 20):
        return "fabricated"
    if facts.people.customers and facts.replayed >= rules.replayed:
        return "recycled"
    if len(canaries) == 1:
        return "partner"
    if canaries or agrees(facts, rules) or any(_is_ours(cohort, facts, rules) for cohort in cohorts):
        return "ours"
    if by_chance:
        return "elsewhere" if facts.rows >= rules.enough else "unknown"
    if base.p < rules.certain and facts.rows >= rules.rows and base.share >= max(rules.share, threshold(facts.chance, rules)):
        return "ours"
    return "ours" if facts.own_fields & facts.people.fields else "unknown"


def _base(facts: Facts) -> Base:
    """What is counted against chance: distinct phones, in clear or as digests; rows where there are none."""
    phones = facts.candidates.get("phone", 0) + facts.candidates.get("digest", 0)
    trials, matched, what = (
        (phones, min(phones, facts.matched_kinds.get("phone", 0)), ("distinct phones", "个不同手机号"))
        if phones
        else (facts.rows, facts.matched_rows, ("rows", "行"))
    )
    p = binomial_tail(trials, matched, facts.chance) if trials else 1.0
    return Base(trials, matched, what, p, trials * facts.chance)


def _is_made_up(facts: Facts, rules: OriginRules) -> bool:
    """Whether the numbers look generated."""
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    failing = bad + good >= rules.ids and bad / (bad + good) > rules.failing
    return facts.longest_run >= rules.run or failing or _are_cards_made_up(facts, rules)


def _are_cards_made_up(facts: Facts, rules: OriginRules) -> bool:
    """Whether cards of the tenant's ranges are hardly ever a customer's, though it has enrolled cards."""
    known = facts.matched_kinds.get("card", 0)
    cards = known + facts.own_cards
    return facts.cards_enrolled > 0 and cards >= rules.cards and known / cards < rules.known_cards


def _counts(canary: Canary, facts: Facts, rules: OriginRules) -> bool:
    """Whether bait was found that chance does not explain: a giant list of numbers hits any number some day."""
    phones = facts.candidates.get("phone", 0)
    bait = min(1.0, facts.canaries_enrolled / facts.circulation)
    return canary.verified > 0 or binomial_tail(phones, canary.customers, bait) < rules.few


def _tail(cohort: Cohort, facts: Facts) -> float:
    """P that so many of a cohort are among the matched by chance, times the comparisons made (Bonferroni)."""
    population = max(facts.watchlist, cohort.enrolled, facts.matched)
    p = hypergeometric_tail(population, cohort.enrolled, facts.matched, cohort.matched)
    return min(1.0, p * max(1, facts.cohort_labels))


def _is_ours(cohort: Cohort, facts: Facts, rules: OriginRules) -> bool:
    """Whether a cohort that nobody outside can know is so frequent among the matched that the list was cut by it."""
    among, whole = odds(cohort.matched / max(1, facts.matched)), odds(cohort.enrolled / max(1, facts.watchlist))
    many = cohort.matched >= rules.cohort_people and among >= rules.cohort_odds * whole
    return cohort.dimension in facts.own_cohorts and many


def _counted(facts: Facts, base: Base, rules: OriginRules) -> Iterator[Reason]:
    """The counts that it went by."""
    told = f"{base.matched} of {base.trials} {base.what[0]} are customers'; chance alone would give {in_words(base.expected)}"
    chinese = (
        f"{base.trials}{base.what[1]}中{base.matched}{base.what[1][:1]}属本单位客户；随机命中预期{in_chinese(base.expected)}"
    )
    yield Reason("O1", 0, f"{told} ({p_in_words(base.p)})", f"{chinese}（{p_in_words(base.p)}）")
    if facts.rows:
        share = facts.matched_rows / facts.rows
        told = f"{facts.matched_rows} of {facts.rows} rows hold a customer ({share:.0%})"
        yield Reason("O2", 0, told, f"{facts.rows}行中{facts.matched_rows}行含本单位客户（{share:.0%}）")
    if facts.corroborated_rows:
        told = f"{facts.corroborated_rows} rows agree with a customer in two or more fields"
        yield Reason("O3", 0, told, f"{facts.corroborated_rows}行与同一客户的两项以上字段相符")
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    if bad + good:
        told = f"{bad} of {bad + good} resident IDs fail their checksum"
        yield Reason("O4", 0, told, f"{bad + good}个身份证号中{bad}个校验码不符")
    if facts.longest_run >= rules.run:
        told = f"an arithmetic run of {facts.longest_run} numbers: a generated list"
        yield Reason("O5", 0, told, f"{facts.longest_run}个号码呈等差数列，系生成数据")
    cards = facts.own_cards + facts.matched_kinds.get("card", 0)
    if facts.own_cards:
        told = f"{cards} cards of the tenant's own ranges, of which {cards - facts.own_cards} are enrolled"
        chinese, made_up = f"本单位卡段的卡号{cards}个，其中已登记{cards - facts.own_cards}个", _are_cards_made_up(facts, rules)
        yield Reason("O6", 0, told + ": made up" * made_up, chinese + "，系编造" * made_up)


def _known(facts: Facts, canaries: tuple[str, ...], cohorts: list[Cohort], rules: OriginRules) -> Iterator[Reason]:
    """What only we, a partner or an earlier incident can tell."""
    for cohort in sorted(cohorts, key=lambda c: (-c.matched, c.dimension, c.label))[:SHOWN_COHORTS]:
        told = f"{cohort.matched} of {facts.matched} customers are of {cohort.dimension} {cohort.label}, as are"
        whole = f"{cohort.enrolled:,} of {facts.watchlist:,} enrolled ({p_in_words(_tail(cohort, facts))})"
        known, tail = _is_ours(cohort, facts, rules), p_in_words(_tail(cohort, facts))
        chinese = f"{facts.matched}名客户中{cohort.matched}名属{cohort.dimension} {cohort.label}"
        chinese += f"，全部{facts.watchlist:,}名中为{cohort.enrolled:,}名（{tail}）"
        yield Reason("O7", 0, f"{told} {whole}" + ": nobody else can know it" * known, chinese + "，外部无从知晓" * known)
    for canary in facts.canaries:
        counts = canary.label in canaries
        told, chinese = f"bait of {canary.label} was found", f"发现给{canary.label}的诱饵数据"
        yield Reason(
            "O8", 0, told + ", as chance may in so long a list" * (not counts), chinese + "，名单过长，或属巧合" * (not counts)
        )
    if len(canaries) > 1:
        yield Reason("O8", 0, "bait of several parties: what they have in common is us", "涉及多方的诱饵数据，其共同来源为我方")
    if facts.replay_of:
        share, before = f"{facts.replayed:.0%}", facts.replay_of
        told = f"{share} of the customers stood with the same fields in {before} or others before"
        yield Reason("O9", 0, told, f"{share}的客户曾以相同字段出现于{before}等事件")
    if own := sorted(facts.own_fields & facts.people.fields):
        yield Reason("O10", 0, f"fields that only the tenant holds: {' '.join(own)}", f"仅本单位掌握的字段：{' '.join(own)}")
