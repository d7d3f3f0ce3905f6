"""A part of matching that fails costs its own result and no other, in `match`, `scan` and
`assess`; the failed part is named.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from matcher.detect import search
from matcher.detect.search import Detector
from matcher.match.findings import build_findings
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone, resident_id
from tests.matcher.test_stage import MatchProcess, match  # noqa: F401  the fixture
from ullage.errors import Exit, UnavailableError
from ullage.guard import STRICT, DetectorFault, FaultGuard
from ullage.records.incomplete import DETECTORS, FAULTS, JUDGEMENTS, READERS, RULES
from ullage.settings import Context

CARD = "6200000000000005"
TABLE = "姓名,手机,身份证,卡号,邮箱\n" + "".join(
    (
        f"{customer(n)['name']},{phone(n)},{resident_id(n)},{CARD if n == 1 else ''},"
        f"{customer(n)['email']}\n"
    )
    for n in range(8)
)
POST = (
    f"{TABLE}内料 一手 出 某某银行\n电话 154****0001\n+49 170"
    " 1234567\nDE89370400440532013000\n护照: E12345678\n"
    f"\\u0031{phone(9)[1:]}\n"
)
KINDS_OF = {
    "phones": {"phone"},
    "resident_ids": {"resident_id"},
    "cards": {"card"},
    "emails": {"email"},
    "spellings": {"phone"},
    "numbers": {"phone", "resident_id", "card"},
}
"""Kinds of identifiers that a part finds, and so may lose; a part that is not named loses none."""
ALL_DETECTORS = [detector.name for detector in (*search.DETECTORS, *search.UNLIKELY)]
EVERYTHING = frozenset(("search", "look_up", "unpack", "folding"))
"""Parts without which a text is not searched at all."""


MATCHING = sorted(FAULTS.keys() - JUDGEMENTS.keys())
"""Parts that run for every post; the others judge what was found."""


class FaultError(Exception):
    """A fault of our own code, as an IndexError was; its text is a value, which must not be
    shown.
    """


def fail_in(
    monkeypatch: pytest.MonkeyPatch, part: str, error: type[BaseException] = FaultError
) -> list[str]:
    """Make `part` raise wherever it runs; return the parts that ran, as they run."""
    run, step, ran, running = FaultGuard.run, FaultGuard.step, list[str](), list[str]()

    def failing_run(guard: FaultGuard, name: str, act: Callable[[], Any], default: Any) -> Any:
        def raising() -> Any:
            raise error(phone(1))

        running.append(name)
        return run(guard, name, raising if name == part else act, default)

    def failing_step(guard: FaultGuard, name: str) -> Any:
        """Fail at the end of a step that is no `run`, which fails by itself."""
        ran.append(name)
        is_run = running.pop() == name if running else False
        return (
            _FailingStep(step(guard, name), error)
            if name == part and not is_run
            else step(guard, name)
        )

    monkeypatch.setattr(FaultGuard, "run", failing_run)
    monkeypatch.setattr(FaultGuard, "step", failing_step)
    return ran


class _FailingStep:
    """A step that fails at its end."""

    def __init__(self, step: Any, error: type[BaseException]) -> None:
        self.step, self.error = step, error

    def __enter__(self) -> None:
        self.step.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            raised = self.error(phone(1))
            if not self.step.__exit__(type(raised), raised, None):
                raise raised
            return False
        return bool(self.step.__exit__(kind, error, trace))


@pytest.fixture
def customers(bank: Context) -> Context:
    """Return a tenant with the eight people of `POST`, and one card."""
    enrol_people(bank)
    return bank


def enrol_people(context: Context) -> None:
    people = [customer(n, card=CARD) if n == 1 else customer(n) for n in range(10)]
    enrol(context, "bank", people)


def read_matches(context: Context) -> tuple[set[tuple[str, str]], set[str], set[str]]:
    """Return (kind, subject) of what is matched in `POST`, the same of a second post, and the
    parts that failed.
    """
    matcher = matcher_of(context, brands={"bank": ["某某银行"]})
    posts = [
        capture(body=POST.encode(), post_id="1", title="内料"),
        capture(body=phone(3).encode(), post_id="2"),
    ]
    subjects = []
    for reading in matcher.read(posts):
        post_findings = list(build_findings(matcher, reading, posts[0].fetched_at))
        assert all(finding.incomplete == reading.reasons for finding in post_findings)
        subjects.append(
            (
                {(m.kind, m.subject) for finding in post_findings for m in finding.matches},
                {*reading.reasons},
            )
        )
    return subjects[0][0], {kind for kind, _ in subjects[1][0]}, subjects[0][1] | subjects[1][1]


@pytest.fixture(scope="module")
def customers_folder(tmp_path_factory: pytest.TempPathFactory, enrolment_folder: Path) -> Context:
    """Return a data folder with the people of `POST` for what is read before any fault."""
    folder = shutil.copytree(enrolment_folder, tmp_path_factory.mktemp("customers") / "data")
    context = Context(folder, HeldClock().as_clock())
    enrol_people(context)
    return context


@pytest.fixture(scope="module")
def whole_matches(customers_folder: Context) -> set[tuple[str, str]]:
    """Return the matches of `POST` where no part fails."""
    whole, _, faults = read_matches(customers_folder)
    assert (faults, {kind for kind, _ in whole}) == (
        set(),
        {"phone", "resident_id", "card", "email"},
    )
    return whole


@pytest.mark.parametrize("error", [FaultError, MemoryError])
@pytest.mark.parametrize("part", MATCHING)
def test_fault_in_one_part_keeps_all_other_matches(
    customers: Context,
    whole_matches: set[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    error: type[BaseException],
) -> None:
    ran = fail_in(monkeypatch, part, error)
    remaining, _, failed = read_matches(customers)
    if part in ran:
        assert part in failed
    if part not in EVERYTHING:
        assert {kind for kind, _ in whole_matches - remaining} <= KINDS_OF.get(part, set())
        assert remaining <= whole_matches


def fail_at(
    monkeypatch: pytest.MonkeyPatch, name: str, is_due: Callable[[search.SearchView, int], bool]
) -> list[int]:
    """Make a detector raise at those of its calls that `is_due` names; return the numbers of its
    calls, as they come.
    """
    calls = list[int]()

    def replace(detector: Detector) -> Detector:
        def find(view: search.SearchView) -> Any:
            calls.append(len(calls) + 1)
            if is_due(view, calls[-1]):
                raise FaultError(phone(1))
            return detector.find(view)

        return detector._replace(find=find) if detector.name == name else detector

    for table in ("DETECTORS", "UNLIKELY"):
        monkeypatch.setattr(search, table, tuple(map(replace, getattr(search, table))))
    return calls


def read_each(
    context: Context, bodies: list[str], *, together: bool
) -> list[tuple[set[tuple[str, str]], tuple[str, ...]]]:
    """Return the matches of each post as (kind, subject), and the parts that failed on it."""
    matcher = matcher_of(context)
    posts = [capture(body=body.encode(), post_id=str(number)) for number, body in enumerate(bodies)]
    readings = [
        reading
        for group in ([posts] if together else [[post] for post in posts])
        for reading in matcher.read(group)
    ]
    return [
        (
            {
                (m.kind, m.subject)
                for finding in build_findings(matcher, reading, posts[0].fetched_at)
                for m in finding.matches
            },
            reading.reasons,
        )
        for reading in readings
    ]


THREE_POSTS = [
    f"{POST}91350100M000100Y43 {'0123456789abcdef' * 2}\n{number}" for number in range(3)
]


@pytest.fixture(scope="module")
def whole_posts(customers_folder: Context) -> list[tuple[set[tuple[str, str]], tuple[str, ...]]]:
    """Return what `read_each` returns of `THREE_POSTS` where no detector fails."""
    return read_each(customers_folder, THREE_POSTS, together=False)


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("name", ALL_DETECTORS)
def test_failing_detector_loses_only_its_candidates_of_one_post(
    customers: Context,
    whole_posts: list[tuple[set[tuple[str, str]], tuple[str, ...]]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    call: int,
) -> None:
    calls = fail_at(monkeypatch, name, lambda _view, number: number == call)
    subjects = read_each(customers, THREE_POSTS, together=False)
    assert calls == [1, 2, 3]
    assert [reasons for _, reasons in subjects] == [
        (name,) if number == call else () for number in (1, 2, 3)
    ]
    for number, ((before, _), (after, _)) in enumerate(zip(whole_posts, subjects, strict=True), 1):
        assert after <= before
        assert {kind for kind, _ in before - after} <= (
            KINDS_OF.get(name, set()) if number == call else set()
        )


@pytest.mark.parametrize("name", ALL_DETECTORS)
def test_only_the_faulty_post_of_a_batch_is_incomplete(
    customers: Context, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bodies = [
        f"{POST}{'0123456789abcdef' * 2}\n{'POISON' if number == 1 else ''}" for number in range(3)
    ]
    calls = fail_at(monkeypatch, name, lambda view, _number: b"POISON" in view.batch.data.tobytes())
    subjects = read_each(customers, bodies, together=True)
    assert (len(calls), [reasons for _, reasons in subjects]) == (4, [(), (name,), ()])


def test_detectors_are_skipped_without_their_required_input(
    customers: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = {
        name: fail_at(monkeypatch, name, lambda _view, _number: False) for name in ALL_DETECTORS
    }
    read_each(
        customers,
        ["No digits here at all, and no sign.\n\u4eca\u5929\u5929\u6c14\u5f88\u597d\n"],
        together=False,
    )
    assert [name for name, calls in called.items() if calls] == ["patterns"]


def test_every_part_runs_behind_the_guard(
    customers: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that never ran would make the test above pass without having tried anything."""
    ran = set(fail_in(monkeypatch, "none of them"))
    parts = fail_in(monkeypatch, "none of them")
    read_matches(customers)
    ran |= {*parts}
    matcher = matcher_of(customers)
    body = f"<p>{phone(1)}</p>".encode()
    list(matcher.read([capture(body=body, media_type="text/html")]))
    ran |= {*parts}
    assert {*MATCHING} - ran == set()
    assert ran <= FAULTS.keys()
    assert not READERS.keys() & DETECTORS.keys() | DETECTORS.keys() & RULES.keys()


SCANNED = sorted(
    {*MATCHING}
    - {"logins", "own_cards", "offers", "other_names", "statistics", "redaction", "markup"}
)
"""Parts that `scan` has; `markup` is a matter of pages."""


@pytest.mark.parametrize("part", SCANNED)
def test_scan_continues_and_names_file_and_failed_part(
    ullage: Any, customers: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "a.csv").write_text(TABLE, encoding="utf-8")
    (folder / "b.txt").write_text(POST, encoding="utf-8")
    whole = rows_of(ullage("scan", "--alarms", folder, "--fail"), Exit.EXPOSED)
    ran = fail_in(monkeypatch, part)
    result = ullage("scan", "--alarms", folder)
    remaining = rows_of(result, Exit.NO_VERDICT)
    assert part in ran
    assert FAULTS[part] in result.stderr
    assert str(folder / "b.txt") in result.stderr
    assert phone(1) not in result.stderr
    if part not in EVERYTHING:
        lost = {kind for _, kind, *_ in whole - remaining}
        assert lost <= KINDS_OF.get(part, set()) | (
            {"lexicon"} if part in {"lexicon", "words"} else set()
        )


def rows_of(done: Any, code: Exit) -> set[tuple[str, str, int, int]]:
    assert done.exit_code == code, done.output
    rows = map(json.loads, done.stdout.splitlines())
    return {(row["path"], row["kind"], row["start"], row["end"]) for row in rows}


@pytest.mark.parametrize(
    "part",
    ["phones", "emails", "statistics", "evidence", "lexicon", "labels", "patterns", *JUDGEMENTS],
)
def test_assess_gives_a_verdict_and_names_the_failed_part(
    ullage: Any, customers: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{TABLE}护照: E12345678\n", encoding="utf-8")
    fail_in(monkeypatch, part)
    result = ullage("assess", "--json", path)
    assert result.stdout, result.exception
    verdict = json.loads(result.stdout)
    [tenant] = verdict["tenants"]
    assert (result.exit_code, verdict["verdict"], tenant["customers"]) == (
        Exit.NO_VERDICT,
        "exposed",
        8,
    )
    [unread] = [entry for entry in verdict["not_read"] if entry["reason"] == "fault"]
    assert FAULTS[part] in unread["said"]
    assert part not in JUDGEMENTS or tenant["kinds"]["phone"] == 8
    assert part not in {"facts", "severity"} or tenant["exposure"]["severity"] == "medium"
    assert ullage("assess", "--fail", path).exit_code == Exit.EXPOSED


def test_fault_becomes_one_dead_letter_without_values(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_in(monkeypatch, "phones")
    match.put(POST)
    [finding] = match.drain()
    assert (finding.incomplete, finding.id == finding.served) == (("phones",), True)
    assert {m.kind for m in finding.matches} == {"resident_id", "email"}
    assert match.reasons() == ["internal"]
    assert match.value("incomplete_total", reason="phones") == 1


def test_repeated_fault_does_not_flood_dead_letters(
    match: MatchProcess,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("matcher.cli.match.MOST_LETTERS", 3)
    fail_in(monkeypatch, "phones")
    for number in range(7):
        match.put(resident_id(number), post_id=str(number))
    assert [finding.incomplete for finding in match.drain()] == [("phones",)] * 7
    assert match.reasons() == ["internal"] * 3
    assert match.value("incomplete_total", reason="phones") == 7
    fail_in(monkeypatch, "digests")
    match.put(resident_id(1), post_id="another")
    match.drain()
    assert match.reasons() == ["internal"] * 4


def test_fault_names_kind_and_place_but_no_value() -> None:
    faults = list[DetectorFault]()

    def raising() -> int:
        return int(f"{phone(1)}x")

    assert FaultGuard(faults.append).run("phones", raising, 7) == 7
    [fault] = faults
    assert (fault.part, fault.cause.partition(" ")[0]) == ("phones", "ValueError")
    assert phone(1) not in str(fault)


@pytest.mark.parametrize("guard", [STRICT, FaultGuard(lambda _fault: None)])
def test_expected_errors_pass_through_the_guard(guard: FaultGuard) -> None:
    def unavailable() -> None:
        raise UnavailableError("down")

    with pytest.raises(UnavailableError):
        guard.run("unpack", unavailable, None)
