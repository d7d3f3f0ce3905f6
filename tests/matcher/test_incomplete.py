"""Of a capture that is too large, or at which a step of matching fails, what is known is
published, and said to be incomplete.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from matcher.cli.match import MatchStage
from matcher.match import capture_result
from matcher.match.capture_result import CaptureBudget, CaptureReading
from matcher.match.findings import build_findings
from matcher.match.pipeline import Matcher
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone
from tests.matcher.test_stage import MatchProcess, match  # noqa: F401  the fixture
from ullage.bus import DEAD_LETTERS
from ullage.records import FINDING_SCHEMA, Capture, Finding
from ullage.records.incomplete import BUDGETS, FAULTS
from ullage.runtime import dead_letters
from ullage.security import keys
from ullage.settings import Context

MIB = 2**20
AMPLE = CaptureBudget(bytes=2**40, members=10**6, candidates=10**9, rows=10**9, matches=10**9)
LINE = "nobody at all stands in this line, which is here for its length alone,\n"


def long_text(windows: int) -> str:
    """Return a text of `windows` windows of 2 MiB, each with one customer in its middle.

    Customer 0 is in the first window, and so on.
    """
    lines = LINE * (2 * MIB // len(LINE) - 40)
    half = len(lines) // len(LINE) // 2 * len(LINE)
    return "".join(f"{lines[:half]}{phone(n)}\n{lines[half:]}" for n in range(windows))


def zip_texts(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


def read(
    matcher: Matcher, made: Capture, budget: CaptureBudget
) -> tuple[CaptureReading, list[Finding]]:
    [reading] = matcher.read([made], budget)
    return reading, list(build_findings(matcher, reading, made.fetched_at))


def people(found: list[Finding]) -> int:
    return len({m.subject for finding in found for m in finding.matches})


@pytest.mark.parametrize(
    ("reason", "budget"),
    [
        ("bytes", {"bytes": 5 * MIB}),
        ("candidates", {"candidates": 3}),
        ("rows", {"rows": 5 * MIB // len(LINE)}),
    ],
)
def test_long_text_is_cut_at_the_same_window_in_any_batch(
    bank: Context, reason: str, budget: dict
) -> None:
    matcher, within = matcher_of(bank), CaptureBudget(**{**_fields(AMPLE), **budget})
    large = capture(body=long_text(6).encode(), post_id="large")
    reading, alone = read(matcher, large, within)
    assert reading.incomplete == {reason}
    assert (people(alone), alone[0].incomplete, reading.spent.candidates) == (3, (reason,), 3)
    for count in (1, 5):
        captures = [
            capture(body=(LINE * 9000 + phone(n)).encode(), post_id=f"{n}") for n in range(count)
        ]
        *small, last = matcher.read([*captures, large], within)
        assert [reading.incomplete for reading in small] == [set()] * count
        assert list(build_findings(matcher, last, large.fetched_at)) == alone


def _fields(budget: CaptureBudget) -> dict[str, int]:
    return {
        name: getattr(budget, name)
        for name in ("bytes", "members", "candidates", "rows", "matches")
    }


def test_capture_that_exactly_fills_its_budget_is_complete(bank: Context) -> None:
    matcher, large = matcher_of(bank), capture(body=long_text(3).encode())
    reading, finding = read(matcher, large, CaptureBudget(**{**_fields(AMPLE), "candidates": 3}))
    assert (reading.incomplete, people(finding), finding[0].incomplete) == (set(), 3, ())


@pytest.mark.parametrize(("members", "expected"), [(1, 0), (4, 3), (10, 9), (100, 10)])
def test_members_beyond_budget_are_left_out(bank: Context, members: int, expected: int) -> None:
    body = zip_texts({f"{n}.txt": phone(n) for n in range(10)})
    captured = capture(body=body, media_type="application/zip")
    reading, finding = read(
        matcher_of(bank), captured, CaptureBudget(**{**_fields(AMPLE), "members": members})
    )
    assert people(finding) == expected, "the list of names is a member too"
    assert (reading.incomplete == {"members"}) == (expected < 10)


def test_unpacked_bytes_count_against_the_budget(bank: Context) -> None:
    captured = capture(
        body=zip_texts({"a.txt": phone(1) + "\n" + LINE * 100_000, "b.txt": phone(2)}),
        media_type="application/zip",
    )
    reading, finding = read(
        matcher_of(bank), captured, CaptureBudget(**{**_fields(AMPLE), "bytes": MIB})
    )
    assert (reading.incomplete, people(finding)) == ({"bytes"}, 1)


def test_matches_beyond_budget_are_counted_but_not_listed(bank: Context) -> None:
    matcher, captured = matcher_of(bank), capture(body="\n".join(map(phone, range(10))).encode())
    for most, listed in ((4, 4), (9, 9), (10, 10), (11, 10)):
        reading, [finding] = read(
            matcher, captured, CaptureBudget(**{**_fields(AMPLE), "matches": most})
        )
        assert (len(finding.matches), finding.total_matches, finding.total_subjects) == (
            listed,
            10,
            10,
        )
        assert [m.row for m in finding.matches] == list(range(listed)), (
            "the first ones, always the same"
        )
        assert reading.incomplete == ({"matches"} if most < 10 else set())


def test_complete_finding_refers_to_the_incomplete_one(
    bank: Context,
) -> None:
    enrol(bank, "other", [customer(0), customer(3)])
    matcher, body = matcher_of(bank), long_text(3).encode()
    ids: dict[str, set[str]] = {"bank": set(), "other": set()}
    whole: dict[str, set[str]] = {"bank": set(), "other": set()}
    for budget in (
        AMPLE,
        CaptureBudget(**{**_fields(AMPLE), "bytes": 1}),
        CaptureBudget(**{**_fields(AMPLE), "bytes": 3 * MIB}),
    ):
        for finding in read(matcher, capture(body=body), budget)[1]:
            (ids if finding.incomplete else whole)[finding.tenant].add(finding.id)
            assert finding.served != finding.id or finding.incomplete
            assert finding.served in ids[finding.tenant] or not finding.incomplete
    assert [len(ids_) for ids_ in (*ids.values(), *whole.values())] == [1, 1, 1, 1]
    [finding, _] = read(matcher, capture(body=body), AMPLE)[1]
    assert {finding.served} == ids["bank"]
    for change in ({"site": "elsewhere"}, {"post_id": "43"}, {"body": body + b"\n"}):
        assert (
            read(matcher, capture(**{"body": body, **change}), AMPLE)[1][0].served != finding.served
        )


# The stage: published, counted, and a dead letter that makes it whole when it is replayed.


def settle(running: MatchProcess, **limits: int) -> None:
    """Start match again with these limits."""
    (running.context.data / "ullage.toml").write_text(
        "[match]\n" + "".join(f"{k} = {v}\n" for k, v in limits.items())
    )
    context = Context(running.context.data, running.context.clock)
    running.stage = MatchStage(context, running.subscription, running.publisher, running.metrics)


def test_capture_over_budget_is_published_and_completed_by_replay(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture_result, "CANDIDATES", 2)
    settle(match)
    match.put(long_text(4), post_id="large")
    match.put(phone(5), post_id="small")
    large, small = match.drain()
    assert (large.incomplete, large.total_subjects, small.incomplete) == (("candidates",), 2, ())
    assert match.reasons() == ["over_budget"]
    assert match.value("incomplete_total", reason="candidates") == 1
    assert (match.value("captures_total"), match.value("dropped_total", reason="over_budget")) == (
        2,
        0,
    )
    [letter] = match.bus.subscribe(DEAD_LETTERS, "look").poll(9, 0.0)
    assert set(letter.headers) == {"id", "stage", "topic", "reason", "schema", "key_id", "replays"}
    assert dead_letters.replay(match.bus, keys.load_opener(match.context.keys)).replayed == 1
    [again] = match.drain()
    assert (again.id, again.total_subjects) == (large.id, 2)
    monkeypatch.undo()
    settle(match)
    dead_letters.replay(match.bus, keys.load_opener(match.context.keys))
    [whole] = match.drain()
    assert (whole.incomplete, whole.served, whole.total_subjects) == ((), large.id, 4)
    assert match.reasons() == []


def test_truncated_capture_without_customers_becomes_a_dead_letter(
    match: MatchProcess,  # noqa: F811
) -> None:
    settle(match, capture_bytes=1)
    match.put(LINE * (5 * MIB // len(LINE)))
    assert match.drain() == []
    assert (match.reasons(), match.value("incomplete_total", reason="bytes")) == (
        ["over_budget"],
        1,
    )


class FaultError(Exception):
    """Of a part of ours, as an IndexError was."""


def failing(*_words: Any, **_named: Any) -> Any:
    raise FaultError("154 0000 0001")


POISON = "zz-poison-zz"
FAULT: list[tuple[str, str, set[str]]] = [
    ("matcher.match.pipeline.look_up", "evidence", {"evidence"}),
    ("matcher.match.pipeline.score", "evidence", {"evidence"}),
    ("matcher.match.pipeline.to_match_list", "evidence", {"evidence"}),
    ("matcher.match.batches.rows_of", "rows", {"evidence", "statistics", "other_names"}),
    ("matcher.match.corroborate._match_own_values", "weak values", {"evidence"}),
    ("matcher.records.rows.RowTable.names", "the text of rows", {"evidence"}),
    ("matcher.lexicon.Lexicon.read_batch", "lexicon", {"lexicon"}),
    ("matcher.lexicon.Lexicon.read", "lexicon of a title", {"lexicon"}),
    ("matcher.match.capture_result.CaptureReading.tally", "statistics", {"statistics"}),
    (
        "matcher.match.capture_result.CaptureReading.statistics",
        "statistics at the end",
        {"statistics"},
    ),
    ("matcher.match.statistics.StatisticsTally.finish", "statistics at the end", {"statistics"}),
    ("matcher.match.findings.tenant_statistics", "statistics of a tenant", {"statistics"}),
    ("matcher.match.findings._redact_facts", "redaction", {"redaction"}),
    ("matcher.match.redact.redact_text", "redaction of a title", {"redaction"}),
    ("matcher.match.findings.count_labels", "labels", {"evidence"}),
]


@pytest.mark.parametrize(("where", "what", "reasons"), FAULT, ids=[what for _, what, _ in FAULT])
def test_failed_step_loses_its_facts_but_no_customer(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    what: str,
    reasons: set[str],
) -> None:
    enrol(match.context, "other", [customer(n) for n in range(5)])
    rows = "\n".join(
        f"{customer(n)['name']},{phone(n)},{customer(n)['resident_id']}" for n in range(8)
    )
    monkeypatch.setattr(where, failing)
    match.put(rows, post_id="faulty", title="内料 一手")
    match.work()
    published = [Finding.decode(r.value, FINDING_SCHEMA) for r in match.out.poll(100, 0.0)]
    assert {f.tenant: f.total_subjects for f in published} == {"bank": 8, "other": 5}
    assert all(set(f.incomplete) == reasons and f.id == f.served for f in published)
    assert [len({m.subject for m in f.matches}) for f in published] == [8, 5]
    assert match.reasons() == ["internal"]
    assert {r for r in FAULTS if match.value("incomplete_total", reason=r)} == reasons
    monkeypatch.undo()
    dead_letters.replay(match.bus, keys.load_opener(match.context.keys))
    match.work()
    whole = [Finding.decode(r.value, FINDING_SCHEMA) for r in match.out.poll(100, 0.0)]
    assert {f.tenant: f.total_subjects for f in whole} == {"bank": 8, "other": 5}
    assert [(f.incomplete, f.served) for f in whole] == [((), f.id) for f in published]


POISONED = {f"{n}.txt": phone(n) + (f" {POISON}" if n == 2 else "") for n in range(5)}


def faulty_at(original: Callable[..., Any], text: bytes) -> Callable[..., Any]:
    """`original`, that fails at a batch which holds `text`."""

    def call(*words: Any, **named: Any) -> Any:
        batch = next(w for w in words if hasattr(w, "data"))
        if text in batch.data.tobytes():
            raise FaultError
        return original(*words, **named)

    return call


def test_fault_at_one_capture_spares_the_rest_of_its_batch(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matcher.match.batches as where

    monkeypatch.setattr(where, "rows_of", faulty_at(where.rows_of, POISON.encode()))
    for number in range(6):
        match.put(
            f"{customer(number)['name']},{phone(number)}" + (f" {POISON}" if number == 3 else ""),
            post_id=str(number),
        )
    published = match.drain()
    assert [(f.total_subjects, f.incomplete != ()) for f in published] == [
        (1, number == 3) for number in range(6)
    ]
    assert [f.matches[0].own_fields for f in published if not f.incomplete] == [
        ("NAME", "PHONE")
    ] * 5
    assert match.reasons() == ["internal"]


def test_fault_in_one_part_spares_the_other_parts(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matcher.match.batches as where

    monkeypatch.setattr(where, "search", faulty_at(where.search, POISON.encode()))
    match.put("", body_bytes=zip_texts(POISONED), media_type="application/zip")
    [finding] = match.drain()
    assert (finding.total_subjects, finding.incomplete) == (4, ("search",))
    assert {m.member for m in finding.matches} == {2, 3, 5, 6}


def test_fault_in_one_member_spares_the_other_members(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matcher.match.parts as where

    original = where.cut_windows

    def windows(chunks: Any, *words: Any) -> Any:
        for window in original(chunks, *words):
            if POISON.encode() in window:
                raise FaultError
            yield window

    monkeypatch.setattr(where, "cut_windows", windows)
    match.put("", body_bytes=zip_texts(POISONED), media_type="application/zip")
    [finding] = match.drain()
    assert (finding.total_subjects, finding.incomplete) == (4, ("unpack",))


def test_fault_for_one_tenant_spares_the_other_tenants(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matcher.match.findings as where

    enrol(match.context, "other", [customer(n) for n in range(5)])
    original = where._build_parts

    def one(lists: Any, *words: Any) -> Any:
        if lists.tenant == "bank":
            raise FaultError
        return original(lists, *words)

    monkeypatch.setattr(where, "_build_parts", one)
    match.put(phone(1))
    match.work()
    [record] = match.out.poll(9, 0.0)
    finding = Finding.decode(record.value, FINDING_SCHEMA)
    assert (finding.tenant, finding.total_subjects, finding.incomplete != ()) == ("other", 1, True)
    assert match.reasons() == ["internal"]


def test_fault_in_evidence_vault_does_not_delay_findings(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("matcher.cli.evidence_vault.exposure_of", failing)
    match.stage._keeper._pair = object()
    monkeypatch.setattr(type(match.context), "tenant", lambda self, name: _EvidenceRequest())
    match.put(phone(1))
    [finding] = match.drain()
    assert (finding.incomplete, match.reasons()) == ((), [])
    assert match.value("evidence_total", outcome="failed") == 1


class _EvidenceRequest:
    evidence = True


def test_every_reason_has_a_description() -> None:
    assert all(text for text in (BUDGETS | FAULTS).values())
    assert not BUDGETS.keys() & FAULTS.keys()
