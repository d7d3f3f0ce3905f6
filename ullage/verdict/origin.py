"""Origin: whose leak it is.

`ours`, `elsewhere`, `fabricated` and `unknown` follow from counts; `partner` and `recycled` need cohorts and history.

The base-rate test is exact: of m distinct valid phones, h belong to customers; by chance each would with probability
customers ÷ numbers in circulation. Two fields of one customer agreeing in one row by chance is negligible, so rows are the
stronger evidence. (`reference` figures: m=200, h=3 at 0.01 gives p = 0.32; h=10 gives 4e-5.)
"""

from __future__ import annotations

from dataclasses import dataclass

from ullage.verdict.facts import Facts, Reason, binomial_tail, in_words

GENERATED_RUN = 20
FEW_IDS = 10
FAILING_SHARE = 0.2
CERTAIN = 1e-6
FEW = 0.01
MANY_ROWS = 20


@dataclass(frozen=True, slots=True)
class Origin:
    """The answer and its evidence; `p` is the probability that chance alone gives as many matched phones."""

    verdict: str
    p: float
    expected: float
    reasons: tuple[Reason, ...]


def judge_origin(facts: Facts) -> Origin:
    """Whose leak `facts` describe."""
    trials, matched, what = _trials(facts)
    chance = min(1.0, facts.watchlist / facts.circulation)
    p = binomial_tail(trials, matched, chance) if trials else 1.0
    share = facts.matched_rows / facts.rows if facts.rows else 0.0
    evidence = [f"{matched} of {trials} {what} are customers'; chance alone would give {in_words(trials * chance)} (p {_p(p)})"]
    if facts.rows:
        evidence.append(f"{facts.matched_rows} of {facts.rows} rows hold a customer ({share:.0%})")
    if facts.corroborated_rows:
        evidence.append(f"{facts.corroborated_rows} rows agree with a customer in two or more fields")
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    if bad + good:
        evidence.append(f"{bad} of {bad + good} resident IDs fail their checksum")
    generated = facts.longest_run >= GENERATED_RUN
    if generated:
        evidence.append(f"an arithmetic run of {facts.longest_run} numbers: a generated list")
    fabricated = generated or (bad + good >= FEW_IDS and bad / (bad + good) > FAILING_SHARE)
    reasons = tuple(Reason(f"O{number}", 0, text) for number, text in enumerate(evidence, 1))
    return Origin(
        _verdict(facts, share, share / chance if chance else 0.0, p, fabricated=fabricated), p, trials * chance, reasons
    )


def _trials(facts: Facts) -> tuple[int, int, str]:
    """What is counted against chance: distinct phones, in clear or as digests; rows where there are none."""
    phones = facts.candidates.get("phone", 0) + facts.candidates.get("digest", 0)
    if phones:
        return phones, min(phones, facts.matched_kinds.get("phone", 0)), "distinct phones"
    return facts.rows, facts.matched_rows, "rows"


def _p(p: float) -> str:
    return "< 1e-12" if p < 1e-12 else f"= {p:.2g}"


def _verdict(facts: Facts, share: float, lift: float, p: float, *, fabricated: bool) -> str:
    """From the strongest evidence down; `share` of the rows that hold a customer, `lift` over what chance gives."""
    if fabricated and facts.corroborated_rows < max(2, facts.rows // 20):
        return "fabricated"
    if facts.customers == 0 or p > FEW:
        return "elsewhere" if facts.rows >= MANY_ROWS else "unknown"
    certain = p < CERTAIN
    if certain and facts.corroborated_rows >= 2 and share >= 0.05 and lift >= 1.5:
        return "ours"
    if certain and share >= 0.5 and lift >= 10 and facts.rows >= 10:
        return "ours"
    return "elsewhere" if facts.rows >= MANY_ROWS and lift < 1.5 else "unknown"
