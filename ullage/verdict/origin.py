"""Origin: whose leak it is.

`ours`, `elsewhere`, `fabricated` and `unknown` follow from counts; `partner` and `recycled` need cohorts and history.

The base-rate test is exact: of m distinct valid phones, h belong to customers; by chance each would with probability
customers ÷ numbers in circulation. Two fields of one customer agreeing in one row by chance is negligible, so rows are the
stronger evidence. (`reference` figures: m=200, h=3 at 0.01 gives p = 0.32; h=10 gives 4e-5.)
"""

from __future__ import annotations

from dataclasses import dataclass

from ullage.verdict.facts import Facts, Reason, binomial_tail, chance_matches, in_words

GENERATED_RUN = 20
CERTAIN = 1e-6
FEW = 0.01


@dataclass(frozen=True, slots=True)
class Origin:
    """The answer and its evidence; `p` is the probability that chance alone gives as many matched phones."""

    verdict: str
    p: float
    expected: float
    reasons: tuple[Reason, ...]


def judge_origin(facts: Facts) -> Origin:
    """Whose leak `facts` describe."""
    phones, matched = facts.candidates.get("phone", 0), facts.matched_kinds.get("phone", 0)
    expected = chance_matches(facts)
    p = binomial_tail(phones, matched, min(1.0, facts.watchlist / facts.circulation)) if phones else 1.0
    reasons = [
        Reason(
            "O1",
            0,
            f"{matched} of {phones} distinct phones are customers'; chance alone would give {in_words(expected)} (p {_p(p)})",
        )
    ]
    share = facts.matched_rows / facts.rows if facts.rows else 0.0
    if facts.rows:
        reasons.append(Reason("O2", 0, f"{facts.matched_rows} of {facts.rows} rows hold a customer ({share:.0%})"))
    if facts.corroborated_rows:
        reasons.append(Reason("O3", 0, f"{facts.corroborated_rows} rows agree with a customer in two or more fields"))
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    if bad + good:
        reasons.append(Reason("O4", 0, f"{bad} of {bad + good} resident IDs fail their checksum"))
    fabricated = facts.longest_run >= GENERATED_RUN or (bad + good >= 10 and bad / (bad + good) > 0.2)
    if facts.longest_run >= GENERATED_RUN:
        reasons.append(Reason("O5", 0, f"an arithmetic run of {facts.longest_run} numbers: a generated list"))
    return Origin(_verdict(facts, share, p, fabricated=fabricated), p, expected, tuple(reasons))


def _p(p: float) -> str:
    return "< 1e-12" if p < 1e-12 else f"= {p:.2g}"


def _verdict(facts: Facts, share: float, p: float, *, fabricated: bool) -> str:
    if fabricated and facts.corroborated_rows < max(2, facts.rows // 20):
        return "fabricated"
    if facts.customers == 0:
        return "elsewhere" if facts.rows >= 20 else "unknown"
    if facts.corroborated_rows >= 2 and share >= 0.5:
        return "ours"
    if facts.matched_rows and p > FEW and not facts.corroborated_rows:
        return "elsewhere" if facts.rows >= 20 else "unknown"
    if share >= 0.8 and p < CERTAIN and facts.rows >= 10:
        return "ours"
    return "elsewhere" if facts.rows >= 20 and share < 0.2 else "unknown"
