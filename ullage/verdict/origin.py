"""Judge the origin, that is whose leak it is, by the strongest evidence that applies.

    fabricated   checksums fail, numbers run in steps, or cards of our ranges that nobody has; and
                 hardly a row agrees with a customer
    recycled     the same customers appeared with the same fields in earlier incidents; `beneath`
                 still says whose it is
    partner      a honeytoken given only to one party, in a verified row
    devices      logins at our own sites or their cookies, the content of stealer-log files, or half
                 of the passwords beside other sites' addresses in the form of such logs: taken from
                 computers of customers or staff, not from us
    ours         cards of our own ranges, fields or cohorts that only we have
    elsewhere    another platform is named in half of the rows
    ours, elsewhere   by private attributes (amount and date of a loan): half agree, or hardly one
    ours         a share of our customers that another's list never reaches (`statistics.py`)
    elsewhere    as many customers as chance gives, in enough rows to tell
    unknown      between that and chance: shared customers can explain it, or there are too few rows

Only shares count here, never absolute numbers: five hundred true rows among forty thousand of
strangers are as many as a rival's list has. The base-rate test is exact: of m distinct valid
phones, h belong to customers; by chance each would with probability customers ÷ numbers in
circulation. (Figures computed elsewhere: m=200, h=3 at 0.01 gives p = 0.32; h=10 gives 4e-5.) A
list of another platform is no random list, its people use such services: if nothing agrees in a
second field, up to three times the odds of chance still say elsewhere. The wording is of the kind
that a court accepts: "agrees with", "was given only to", "an indication".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.records import Cohort
from ullage.verdict.facts import (
    Reason,
    VerdictFacts,
    format_number,
    format_number_zh,
    format_probability,
)
from ullage.verdict.rules import Origin as Verdict
from ullage.verdict.rules import OriginRules
from ullage.verdict.statistics import (
    are_rows_ours,
    binomial_tail,
    compute_required_share,
    compute_threshold,
    hypergeometric_tail,
    to_odds,
)
from ullage.verdict.words import describe_cookies, describe_fields, format_count

SHOWN_COHORTS = 3
OWN_COHORTS = frozenset({"export"})
"""Dimensions that nobody outside can know: the export that contains a customer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The verdict and its evidence; no reason names a partner.

    `label` is the partner's, `canaries` are the labels of honeytokens in verified rows. `matched`
    is how many phones, or rows, belong to customers, `expected` how many would by chance, `p` the
    probability that chance alone gives as many. `beneath` is whose leak it is if the verdict says
    only that it was known before, else the verdict.
    """

    verdict: Verdict
    p: float
    expected: float
    reasons: tuple[Reason, ...]
    label: str = ""
    canaries: tuple[str, ...] = ()
    matched: int = 0
    beneath: Verdict = "unknown"


UNJUDGED_ORIGIN = Origin(
    "unknown",
    1.0,
    0.0,
    (
        Reason(
            "F",
            0,
            "whose leak it is could not be judged: a rule failed",
            "规则出错，无法判断泄露来源",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Base:
    """How much of the list matched, compared with chance."""

    trials: int
    matched: int
    what: tuple[str, str]
    """The unit, in English, and in Chinese with its measure word."""
    p: float
    expected: float

    @property
    def share(self) -> float:
        """Share of the counted things that belong to customers."""
        return self.matched / self.trials if self.trials else 0.0


def judge_origin(facts: VerdictFacts, rules: OriginRules) -> Origin:
    """Return the leak source (whose leak it is), with probabilities and reasons.

    A pure function: the result follows from the counted facts and the rules alone.
    """
    base = _compute_base(facts)
    canaries = tuple(sorted(c.label for c in facts.honeytokens if c.verified))
    cohorts = [cohort for cohort in facts.cohorts if _tail(cohort, facts) < rules.certain]
    beneath = verdict = _judge_verdict(facts, base, canaries, cohorts, rules)
    if verdict != "fabricated" and facts.people.customers and facts.replayed >= rules.replayed:
        verdict = "recycled"
    label = canaries[0] if verdict == "partner" else ""
    reasons = (
        *_explain_counts(facts, base, rules),
        *_explain_known(facts, canaries, cohorts, rules),
        *_explain_rows(facts),
        *_explain_alternatives(facts, base, beneath, rules),
    )
    return Origin(
        verdict, base.p, base.expected, tuple(reasons), label, canaries, base.matched, beneath
    )


def _judge_verdict(
    facts: VerdictFacts,
    base: Base,
    canaries: tuple[str, ...],
    cohorts: list[Cohort],
    rules: OriginRules,
) -> Verdict:
    """Return whose leak it is, whether known before or not.

    Checked in this order: invented data, the honeytoken of one partner, rows that could not be
    counted, devices, ours, another platform's name in the rows, then attributes and shares.
    """
    if _is_fabricated(facts, rules) and facts.corroborated_rows < max(2, facts.rows // 20):
        return "fabricated"
    if len(canaries) == 1:
        return "partner"
    # the rows could not be counted, so nothing that is a share of them is known
    if facts.rows < facts.matched_rows:
        return "ours" if canaries else "unknown"
    if not canaries and (
        _is_explained_by_logins(facts, rules)
        or _is_from_stealers(facts, rules)
        or _is_from_devices(facts, rules)
    ):
        return "devices"
    if (
        canaries
        or _is_exclusive(facts, base, rules)
        or any(_is_own_cohort(cohort, facts, rules) for cohort in cohorts)
    ):
        return "ours"
    if facts.rows_of_others and facts.rows_of_others >= rules.named * facts.rows:
        return "elsewhere"
    return _judge_by_attributes(facts, rules) or _judge_by_share(facts, base, rules)


def _is_explained_by_logins(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether logins at our sites, or their cookies, explain the data.

    They do if hardly any agreeing row stands beside them.
    """
    tolerated = rules.few_rows - 1 if facts.cookies else 0
    return bool(facts.logins or facts.cookies) and facts.corroborated_rows <= max(
        facts.logins, tolerated
    )


def _is_from_devices(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether almost all matches are in files of stealer logs, however many rows agree.

    A browser's forms contain name, phone and ID of whoever filled them in: they agree with our
    records without coming from us.
    """
    elsewhere = facts.matched_rows - facts.device_rows
    return facts.device_rows > 0 and elsewhere < max(
        rules.few_rows, rules.corroborated * facts.matched_rows
    )


def _is_from_stealers(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether rows in stealer-log form explain the matches, by their passwords.

    A browser stores one value of a person, the login: a list whose rows agree in two fields has
    another source.
    """
    rows, matched = facts.password_rows
    most = matched > 0 and matched >= rules.stealer * facts.matched_rows
    few_agree = facts.corroborated_rows <= max(rules.few_rows, rules.corroborated * facts.rows)
    return most and few_agree and 0 < facts.stealer_rows >= rules.stealer * rows


def _judge_by_attributes(facts: VerdictFacts, rules: OriginRules) -> Verdict | None:
    """Return the verdict of private attributes.

    None if too few can be compared, or as many agree as differ.
    """
    if facts.private_attributes_comparable < rules.witnesses:
        return None
    agreeing = facts.private_attributes_agreeing / facts.private_attributes_comparable
    if agreeing >= rules.witnesses_agree:
        return "ours"
    return "elsewhere" if agreeing <= rules.witnesses_differ else None


def _judge_by_share(facts: VerdictFacts, base: Base, rules: OriginRules) -> Verdict:
    """Return the verdict by the share of rows, or phones.

    It is compared with chance and with shared customers.
    """
    if are_rows_ours(facts, rules):
        return "ours"
    if _can_be_chance(facts, base, rules):
        return "elsewhere" if facts.rows >= rules.enough else "unknown"
    required = max(compute_required_share(facts, rules), compute_threshold(facts.chance, rules))
    return (
        "ours"
        if base.p < rules.certain and facts.rows >= rules.rows and base.share >= required
        else "unknown"
    )


def _can_be_chance(facts: VerdictFacts, base: Base, rules: OriginRules) -> bool:
    """Return whether chance, or another's customers by their numbers alone, explain the matches."""
    like = facts.corroborated_rows < rules.few_rows and to_odds(base.share) < rules.alike * to_odds(
        facts.chance
    )
    return not facts.people.customers or base.p > rules.few or like


def _is_exclusive(facts: VerdictFacts, base: Base, rules: OriginRules) -> bool:
    """Return whether cards of our ranges, or fields that only we have, show that the list is ours.

    A few rows with enrolled cards suffice if they are most of the cards. A range alone is public,
    and stolen cards are sold by range: if no card is enrolled to compare with, half of the rows
    must contain a card of our ranges, beside customers who agree more often than chance gives.
    """
    if (
        facts.known_cards >= rules.few_rows
        and facts.known_cards >= rules.share * facts.candidates.get("card", 0)
    ):
        return True
    by_range = not facts.cards_enrolled and facts.own_card_rows >= max(
        rules.few_rows, rules.share * facts.rows
    )
    rows = sum(
        number for fields, number in facts.people.groups.items() if facts.own_fields & fields
    )
    shown = (by_range and facts.corroborated_rows >= rules.few_rows) or rows >= rules.few_rows
    return shown and not _can_be_chance(facts, base, rules)


def _compute_base(facts: VerdictFacts) -> Base:
    """Count what is compared with chance, and the probability of so many matches by chance.

    Counted are distinct phones, in clear or as digests; else digests of other values; else rows.
    Without anything to compare, the probability is 1.
    """
    phones, digests, known_phones = (
        _count_phones(facts),
        facts.candidates.get("digest", 0),
        facts.matched_kinds.get("phone", 0),
    )
    trials, matched, what = facts.rows, facts.matched_rows, ("rows", "行")
    if phones and phones == digests and facts.matched_kinds and not known_phones:
        trials, matched, what = (
            digests,
            min(digests, sum(facts.matched_kinds.values())),
            ("digests", "个摘要"),
        )
    elif phones:
        trials, matched, what = (
            phones,
            min(phones, known_phones),
            ("distinct phones", "个不同手机号"),
        )
    p = binomial_tail(trials, matched, facts.chance) if trials else 1.0
    return Base(trials, matched, what, p, trials * facts.chance)


def _count_phones(facts: VerdictFacts) -> int:
    """Count distinct phones, in clear or as digests.

    A digest does not reveal its kind: it counts as a phone's if it is alone in its row, or if some
    of them are customers' phones; beside phones or addresses in clear it may be a password's.
    """
    clear, digests = facts.candidates.get("phone", 0), facts.candidates.get("digest", 0)
    other_kinds = [facts.candidates.get(kind, 0) for kind in ("email", "resident_id", "card")]
    beside = clear or (0 if facts.matched_kinds.get("phone", 0) else max(other_kinds))
    return clear if digests and beside + digests > facts.rows and beside else clear + digests


def _is_fabricated(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether the numbers look generated."""
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    failing = bad + good >= rules.ids and bad / (bad + good) > rules.failing
    return facts.longest_run >= rules.run or failing or _are_cards_fabricated(facts, rules)


def _are_cards_fabricated(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether cards of the tenant's ranges hardly ever belong to enrolled customers."""
    enrolled = facts.matched_kinds.get("card", 0)
    cards = enrolled + facts.own_cards
    return (
        facts.cards_enrolled > 0 and cards >= rules.cards and enrolled / cards < rules.known_cards
    )


def _tail(cohort: Cohort, facts: VerdictFacts) -> float:
    """Return the probability that chance matches so many of a cohort.

    Multiplied by the number of comparisons made (Bonferroni).
    """
    population = max(facts.watchlist, cohort.enrolled, facts.matched)
    p = hypergeometric_tail(population, cohort.enrolled, facts.matched, cohort.matched)
    return min(1.0, p * max(1, facts.cohort_labels))


def _is_own_cohort(cohort: Cohort, facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether a cohort that nobody outside can know is too frequent for chance."""
    among, whole = (
        to_odds(cohort.matched / max(1, facts.matched)),
        to_odds(cohort.enrolled / max(1, facts.watchlist)),
    )
    is_frequent = cohort.matched >= rules.cohort_people and among >= rules.cohort_odds * whole
    return cohort.dimension in OWN_COHORTS and is_frequent


def _explain_counts(facts: VerdictFacts, base: Base, rules: OriginRules) -> Iterator[Reason]:
    """Yield the counts that the verdict rests on, each only where it is not zero."""
    english = (
        f"{base.matched} of {base.trials} {base.what[0]} are customers'; chance alone would give"
        f" {format_number(base.expected)}"
    )
    chinese = (
        f"{base.trials}{base.what[1]}中{base.matched}{base.what[1][:1]}属本单位客户；"
        f"随机命中预期{format_number_zh(base.expected)}"
    )
    if base.trials:
        yield Reason(
            "O1",
            0,
            f"{english} ({format_probability(base.p)})",
            f"{chinese}（{format_probability(base.p)}）",
        )
    if facts.rows:
        share = facts.matched_rows / facts.rows
        english = f"{facts.matched_rows} of {facts.rows} rows contain a customer ({share:.0%})"
        yield Reason(
            "O2", 0, english, f"{facts.rows}行中{facts.matched_rows}行含本单位客户（{share:.0%}）"
        )
    if facts.corroborated_rows:
        agree = "s agree" if facts.corroborated_rows > 1 else " agrees"
        english = f"{facts.corroborated_rows} row{agree} with a customer in two or more fields"
        yield Reason("O3", 0, english, f"{facts.corroborated_rows}行与同一客户的两项以上字段相符")
    bad, good = facts.failures.get("resident_id", 0), facts.candidates.get("resident_id", 0)
    if bad + good:
        english = f"{bad} of {bad + good} resident IDs fail their checksum"
        yield Reason("O4", 0, english, f"{bad + good}个身份证号中{bad}个校验码不符")
    if facts.longest_run >= rules.run:
        english = f"an arithmetic run of {facts.longest_run} numbers: a generated list"
        yield Reason("O5", 0, english, f"{facts.longest_run}个号码呈等差数列，系生成数据")
    cards = facts.own_cards + facts.matched_kinds.get("card", 0)
    if facts.own_cards:
        english = (
            f"{cards} cards of the tenant's own ranges, of which {cards - facts.own_cards} are"
            " enrolled"
        )
        chinese, made_up = (
            f"本单位卡段的卡号{cards}个，其中已登记{cards - facts.own_cards}个",
            _are_cards_fabricated(facts, rules),
        )
        yield Reason("O6", 0, english + ": made up" * made_up, chinese + "，系编造" * made_up)


def _explain_known(
    facts: VerdictFacts, canaries: tuple[str, ...], cohorts: list[Cohort], rules: OriginRules
) -> Iterator[Reason]:
    """Yield what only we, a partner or an earlier incident can tell.

    Of cohorts at most SHOWN_COHORTS (3) are named, the largest first.
    """
    for cohort in sorted(cohorts, key=lambda c: (-c.matched, c.dimension, c.label))[:SHOWN_COHORTS]:
        english = (
            f"{cohort.matched} of {facts.matched} customers are of {cohort.dimension}"
            f" {cohort.label}, as are"
        )
        whole = (
            f"{cohort.enrolled:,} of {facts.watchlist:,} enrolled"
            f" ({format_probability(_tail(cohort, facts))})"
        )
        is_own, tail = (
            _is_own_cohort(cohort, facts, rules),
            format_probability(_tail(cohort, facts)),
        )
        chinese = f"{facts.matched}名客户中{cohort.matched}名属{cohort.dimension} {cohort.label}"
        chinese += f"，全部{facts.watchlist:,}名中为{cohort.enrolled:,}名（{tail}）"
        yield Reason(
            "O7",
            0,
            f"{english} {whole}" + ": nobody else can know it" * is_own,
            chinese + "，外部无从知晓" * is_own,
        )
    for canary in facts.honeytokens:
        english, chinese = "a honeytoken that only one party received", "仅提供给一方的诱饵数据"
        if canary.label in canaries:
            yield Reason(
                "O8",
                0,
                f"{english} is in a verified row: an indication",
                f"已核实的行中含{chinese}，系线索",
            )
        else:
            yield Reason(
                "O8",
                0,
                f"{english} is in it by one value, as may be chance",
                f"含{chinese}，但仅一项相符，或属巧合",
            )
    if len(canaries) > 1:
        yield Reason(
            "O8",
            0,
            "honeytokens of several parties, which have only us in common",
            "涉及多方的诱饵数据，其共同来源为我方",
        )
    if facts.replay_of:
        share, before = f"{facts.replayed:.0%}", facts.replay_of
        english = (
            f"{share} of the customers appeared with the same fields in {before} or other"
            " earlier incidents"
        )
        yield Reason("O9", 0, english, f"{share}的客户曾以相同字段出现于{before}等事件")
    if own_fields := sorted(facts.own_fields & facts.people.fields):
        yield Reason(
            "O10",
            0,
            f"fields that only the tenant has: {' '.join(own_fields)}",
            f"仅本单位掌握的字段：{describe_fields(frozenset(own_fields))[1]}",
        )


def _explain_rows(facts: VerdictFacts) -> Iterator[Reason]:
    """Yield what the rows show besides customers."""
    if facts.known_cards:
        english = (
            f"{facts.known_cards} cards of our own ranges, each in a row of its own, are our"
            " customers'"
        )
        yield Reason(
            "O11", 0, english, f"我方卡段卡号中{facts.known_cards}个（每行至多计一个）属我方客户"
        )
    elif facts.own_card_rows and not facts.cards_enrolled:
        english = (
            f"{facts.own_card_rows} of {facts.rows} rows contain a card of our own ranges,"
            " and no card is enrolled to compare"
        )
        yield Reason(
            "O11",
            0,
            english,
            f"{facts.rows}行中{facts.own_card_rows}行含我方卡段卡号，我方未登记卡号可供比对",
        )
    if facts.rows_of_others:
        english = (
            f"another platform is named in, or above, {facts.rows_of_others} of {facts.rows} rows"
        )
        yield Reason(
            "O12", 0, english, f"{facts.rows}行中{facts.rows_of_others}行（或其标题）提及其他平台"
        )
    if facts.private_attributes_comparable:
        english = (
            f"amount and date agree with our records for {facts.private_attributes_agreeing} of"
            f" {facts.private_attributes_comparable}"
        )
        chinese = (
            f"可比对金额与日期的{facts.private_attributes_comparable}人中"
            f"{facts.private_attributes_agreeing}人与我方记录相符"
        )
        yield Reason("O13", 0, f"{english} whose pair could be compared", chinese)
    if facts.logins:
        whose = f", {facts.staff_logins} of them by staff" * bool(facts.staff_logins)
        chinese = f"我方网站登录信息{facts.logins}条" + f"，其中员工{facts.staff_logins}条" * bool(
            facts.staff_logins
        )
        yield Reason(
            "O14", 0, f"{format_count(facts.logins, 'login')} at our own sites{whose}", chinese
        )
    yield from _explain_devices(facts)
    if facts.stealer_rows:
        english = f"{format_count(facts.stealer_rows, 'row')} in the form of a stealer log"
        chinese = f"{facts.stealer_rows}行呈窃密木马日志格式"
        elsewhere, zh = (
            (", logins at others' sites", "，系他方网站登录信息") if not facts.logins else ("", "")
        )
        yield Reason("O17", 0, english + elsewhere, chinese + zh)


def _explain_devices(facts: VerdictFacts) -> Iterator[Reason]:
    """Yield cookies of our own sites, and rows in the files of stealer logs."""
    if facts.cookies:
        lasting = (
            facts.staff_cookies,
            facts.live_cookies,
            facts.session_cookies,
            facts.cookies_until,
        )
        english, chinese = describe_cookies(*lasting)
        yield Reason(
            "O18",
            0,
            f"{format_count(facts.cookies, 'cookie')} of our own sites: {english}",
            f"我方网站Cookie{facts.cookies}个：{chinese}",
        )
    if facts.device_rows:
        english = (
            f"{facts.device_rows} of {facts.matched_rows} rows with a customer are in the"
            " files of a stealer log"
        )
        yield Reason(
            "O19",
            0,
            english,
            f"含本单位客户的{facts.matched_rows}行中{facts.device_rows}行位于窃密木马日志文件",
        )


def _explain_alternatives(
    facts: VerdictFacts, base: Base, verdict: Verdict, rules: OriginRules
) -> Iterator[Reason]:
    """Yield what else can explain the list, for a verdict of ours or unknown.

    Yields nothing without customers, or where chance can explain them.
    """
    if (
        not facts.people.customers
        or verdict not in ("ours", "unknown")
        or _can_be_chance(facts, base, rules)
    ):
        return
    if not facts.corroborated_rows:
        english = "by one value each: our data, or probing of our sign-up"
        yield Reason("O15", 0, english, "每人仅一项相符：我方数据，或有人在我方注册入口筛号")
    elif verdict == "unknown":
        yield Reason(
            "O16",
            0,
            "customers whom we share with others can explain it",
            "我方与他方共有的客户即可解释",
        )
