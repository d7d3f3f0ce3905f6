"""A sample of the recall table of the benchmark: what `ullage scan` finds of each class, and
that it finds no decoy.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.corpus.disguise import INVISIBLE, SCRIPTS, split_groups
from harness.bench.corpus.people import Person
from harness.bench.recall import (
    DECOY_PEOPLE,
    FIRST_OF_DECOYS,
    PAGE,
    CorpusFile,
    Outcome,
    measure,
    measure_decoys,
    plan,
    prepare,
    scan,
)
from harness.bench.recall.cases import VALUES, Case, cases
from harness.bench.recall.containers import ENCODINGS, OF_BYTES, OF_TEXT
from harness.bench.recall.decoys import DECOYS
from ullage.settings import Context

ALL = cases()
PAIRS = sorted({(case.kind, case.disguise) for case in ALL})
CONTAINERS = sorted({*OF_BYTES, *OF_TEXT, PAGE, f"{PAGE} in zip"})
READ_AS = {False: ("plain", "UTF-8"), True: (PAGE, "UTF-8")}
"""Container and encoding in which a case is judged by itself: what needs markup in a page."""
TOKENS = 11_000
SEPARATED = ("", "-", " ", ".")
PREFIXES = ("", "+86", "+86 ", "86-", "0086", "(86)", "0")

PAIR_GAPS: dict[tuple[str, str], str] = {}
"""(kind, disguise) that is not found yet, and why."""
CONTAINER_GAPS: dict[str, str] = {}
ENCODING_GAPS: dict[str, str] = {}


def gap(kind: str, disguise: str) -> str:
    return PAIR_GAPS.get((kind, disguise), "")


def params(names: list, why) -> list:
    return [
        pytest.param(*n, marks=pytest.mark.xfail(reason=why(*n), strict=True))
        if why(*n)
        else pytest.param(*n)
        for n in names
    ]


class RecallResult(NamedTuple):
    """`planted` and `lost` are the texts of the cases that are judged by themselves, by kind and
    disguise.
    """

    context: Context
    outcome: Outcome
    decoys: Counter[str]
    planted: dict[tuple[str, str], list[str]]
    lost: dict[tuple[str, str], list[str]]


def by_pair(planted: Iterable[tuple[CorpusFile, Case]]) -> dict[tuple[str, str], list[str]]:
    """Return the texts of the cases that are judged alone, by kind and disguise."""
    texts: dict[tuple[str, str], list[str]] = {}
    for file, case in planted:
        if (file.container, file.encoding) == READ_AS[case.markup]:
            texts.setdefault((case.kind, case.disguise), []).append(case.text)
    return texts


@pytest.fixture(scope="module")
def recall_result(tmp_path_factory: pytest.TempPathFactory) -> RecallResult:
    """Return the outcome of all containers, all encodings of a plain file and the decoys."""
    folder = tmp_path_factory.mktemp("recall")
    context = Context(folder / "data")
    subjects = prepare(context, ALL)
    files = {
        file.name: file
        for file in (*plan(ALL, encodings=["UTF-8"]), *plan(ALL, containers=["plain"]))
    }
    (folder / "files").mkdir()
    outcome = measure(context, subjects, files.values(), folder / "files")
    decoys = measure_decoys(context, TOKENS, folder)
    return RecallResult(
        context, outcome, decoys, by_pair(outcome.planted), by_pair(outcome.list_missed())
    )


def list_missed(outcome: Outcome, **classes: str) -> list[str]:
    """Return kind and disguise of the cases that were missed in these classes of files."""
    return [
        f"{case.kind} as {case.disguise}"
        for file, case in outcome.list_missed()
        if all(getattr(file, name) == value for name, value in classes.items())
        and not gap(case.kind, case.disguise)
    ]


@pytest.mark.parametrize(("kind", "disguise"), params(PAIRS, gap))
def test_every_kind_is_found_in_every_disguise(
    recall_result: RecallResult, kind: str, disguise: str
) -> None:
    assert recall_result.planted[kind, disguise]
    assert recall_result.lost.get((kind, disguise), []) == []


@pytest.mark.parametrize(
    "container", params([(c,) for c in CONTAINERS], lambda c: CONTAINER_GAPS.get(c, ""))
)
def test_every_container_is_opened(recall_result: RecallResult, container: str) -> None:
    assert any(file.container == container for file, _ in recall_result.outcome.planted)
    assert list_missed(recall_result.outcome, container=container) == []


@pytest.mark.parametrize(
    "encoding", params([(e,) for e in ENCODINGS], lambda e: ENCODING_GAPS.get(e, ""))
)
def test_every_encoding_is_read(recall_result: RecallResult, encoding: str) -> None:
    assert any(file.encoding == encoding for file, _ in recall_result.outcome.planted)
    assert list_missed(recall_result.outcome, encoding=encoding, container="plain") == []


def test_nobody_is_found_by_mistake(recall_result: RecallResult) -> None:
    assert recall_result.outcome.wrong == Counter()


@pytest.mark.parametrize("name", DECOYS)
def test_decoy_matches_nobody(recall_result: RecallResult, name: str) -> None:
    assert recall_result.decoys[name] == 0


def test_originals_of_the_decoys_are_found(recall_result: RecallResult, tmp_path: Path) -> None:
    people = [Person(FIRST_OF_DECOYS + n) for n in range(DECOY_PEOPLE)]
    text = "\n".join(
        VALUES[kind](p) for p in people for kind in ("phone", "resident_id", "card", "email")
    )
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert len(scan(recall_result.context, [tmp_path / "a.txt"])) == 4 * DECOY_PEOPLE


def compose(
    number: int, prefix: str, separator: str, script: str, marks: str, around: tuple[str, str]
) -> str:
    """Return a disguised phone number.

    It has a prefix, is written in groups and in a script, with invisible characters, within some
    surroundings.
    """
    text = SCRIPTS[script](
        "phone", prefix + split_groups(Person(FIRST_OF_DECOYS + number).phone, (3, 4, 4), separator)
    )
    return around[0] + (INVISIBLE[marks]("phone", text) if marks else text) + around[1]


@settings(max_examples=20)
@given(
    st.lists(
        st.builds(
            compose,
            st.integers(0, DECOY_PEOPLE - 1),
            st.sampled_from(PREFIXES),
            st.sampled_from(SEPARATED),
            st.sampled_from(sorted(SCRIPTS)),
            st.sampled_from(["", *INVISIBLE]),
            st.sampled_from(
                [
                    ("", ""),
                    ("手机", "住址"),
                    ("联系：", "。"),
                    ("a|", "|b"),
                    ("x----", "----y"),
                    ("('", "','x')"),
                ]
            ),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_disguises_compose(recall_result: RecallResult, lines: list[str]) -> None:
    path = recall_result.context.data / "composed.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    text = "\n".join(lines)
    rows = [
        text.count("\n", 0, row["start"])
        for row in scan(recall_result.context, [path])
        if row["kind"] == "phone"
    ]
    assert [line for number, line in enumerate(lines) if number not in rows] == []
    assert len(rows) == len(lines)
