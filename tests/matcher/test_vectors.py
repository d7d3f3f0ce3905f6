"""The shared vectors: how identifiers are written in the wild, and what they must be read as."""

import json
from pathlib import Path

import pytest

from matcher.reference import DIGEST, find
from matcher.text import read
from ullage.identifiers import kinds

VECTORS = [
    json.loads(line)
    for line in Path(__file__).with_name("vectors.jsonl").read_text(encoding="utf-8").splitlines()
]


def test_vectors_name_only_known_kinds() -> None:
    assert len(VECTORS) == 78
    assert {e["kind"] for v in VECTORS for e in v["expect"]} <= {*kinds(), DIGEST}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_vector_gives_exactly_its_expected_candidates(vector: dict) -> None:
    text = read(vector["input"].encode())
    candidates = sorted((c.kind, c.form, c.normal) for c in find(text.text) if c.valid)
    assert candidates == sorted(
        (e["kind"], e.get("form", "plain"), e["canonical"]) for e in vector["expect"]
    )
