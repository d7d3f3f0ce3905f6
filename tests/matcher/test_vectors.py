"""The shared vectors: how identifiers are written in the wild, and what they must be read as."""

import json
from pathlib import Path

import pytest

from matcher.scan import DIGEST, FORM_OF_LENGTH, find
from matcher.text import read
from ullage.identifiers import kinds

VECTORS = [json.loads(line) for line in Path(__file__).with_name("vectors.jsonl").read_text(encoding="utf-8").splitlines()]
LATER_KINDS = {"iban", "uscc", "home_return_permit", "qq"}
LATER_FORMS = {"masked"}


def test_what_the_vectors_name_is_known_or_comes_later_by_name() -> None:
    named = {(e["kind"], e.get("form", "plain")) for v in VECTORS for e in v["expect"]}
    assert {k for k, _ in named} == {*kinds(), DIGEST} | LATER_KINDS
    assert {f for _, f in named} == {"plain", *FORM_OF_LENGTH.values()} | LATER_FORMS


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_a_vector_gives_what_it_says_and_nothing_else(vector: dict) -> None:
    text = read(vector["input"].encode())
    found = sorted((c.kind, c.normal) for c in find(text.text) if c.valid)
    wanted = [e for e in vector["expect"] if e["kind"] not in LATER_KINDS and e.get("form") not in LATER_FORMS]
    assert found == sorted((e["kind"], e["canonical"]) for e in wanted)
