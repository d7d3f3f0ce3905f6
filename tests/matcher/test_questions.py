"""What is asked of a list: every value whose check holds, and an answer for no other."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.detect.candidates import Segment
from matcher.match.lookup import FEW, ask, questions
from ullage.security.tags import Tagger, Tags


def segment(kind: str, valid: list[bool], form: str = "plain") -> Segment:
    """Values 0, 1, 2 … of which some hold."""
    size = len(valid)
    normal = np.array([f"{n:016}".encode() for n in range(size)], "S16").view(np.uint8).reshape(-1, 16)
    place = np.arange(size, dtype=np.int64)
    return Segment(kind, form, place * 20, place * 20 + 16, normal, np.full(size, 16, np.int64), np.array(valid, bool))


def epoch_of_everybody() -> Any:
    """An epoch in whose list every value is the customer's whose number is its place among the tags."""
    tagger = Tagger(bytes(32))

    def look_up(tags: Tags) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(tags)), np.arange(len(tags))

    return SimpleNamespace(tags=SimpleNamespace(tagger=lambda *_: tagger), list=SimpleNamespace(look_up=look_up))


@given(st.lists(st.booleans(), max_size=3 * FEW), st.integers(0, 3 * FEW))
def test_nothing_that_fails_its_check_is_answered(some: list[bool], holding: int) -> None:
    valid = [*some, *[True] * holding]
    asked = list(questions([segment("card", valid), segment("phone", [True, True]), segment("resident_id", [False])]))
    answers = ask(epoch_of_everybody(), asked)
    found = [
        (asked[number].kind, int(asked[number].values.normal[place].tobytes()), start)
        for number, place, start in answers.table[["question", "place", "start"]].tolist()
    ]
    assert found == [("card", n, n * 20) for n, holds in enumerate(valid) if holds] + [("phone", 0, 0), ("phone", 1, 20)]


def test_a_digest_is_asked_for_as_each_kind_that_may_be_digested_and_laid_out_once() -> None:
    asked = list(questions([segment("digest", [True], "md5")]))
    assert [(question.kind, question.form) for question in asked] == [("phone", "md5"), ("resident_id", "md5"), ("email", "md5")]
    assert len({id(question.values) for question in asked}) == 1


def test_nothing_is_asked_for_what_fails_throughout() -> None:
    assert list(questions([segment("card", [False, False])])) == []
    assert len(ask(epoch_of_everybody(), [])) == 0
