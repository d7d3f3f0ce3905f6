"""Every part that is locked stands under a licence that is known and may be there, and NOTICE
says what asks for more.
"""

import re
from collections.abc import Mapping
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from deploy.bundle.parts import (
    PRODUCT,
    SHIPPED,
    Licences,
    Weak,
    beyond,
    closure,
    licence_of,
    licences,
)
from ullage.errors import ConfigError

ROOT = Path(__file__).parents[2]
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
NAMED = re.compile(
    r"^  ([^\n(]+(?: \(in [\w-]+\))?) \(([^\n]+?)\): ([^\n]+(?:\n    [^\n]+)*)$", re.MULTILINE
)
LIBRARY = re.compile(r"(lib[a-z]+)[-.\d]")
FREE = {"libscipy_openblas"}
"""Libraries inside of wheels whose licence their wheel's own expression has."""


@pytest.fixture(scope="module")
def known() -> Licences:
    return licences()


@pytest.fixture(scope="module")
def locked() -> Mapping[str, Distribution]:
    """Return all distributions that run or are developed with, but for ullage."""
    return {
        name: part for name, part in closure([*SHIPPED, "dev", "docs"]).items() if name != PRODUCT
    }


def test_every_licence_is_allowed_or_an_exception_with_a_reason(
    known: Licences, locked: Mapping[str, Distribution]
) -> None:
    assert len(locked) > 150
    more = {
        name: said
        for name, part in locked.items()
        if beyond(said := licence_of(part, known), known.allowed)
    }
    assert more == {name: weak.licence for name, weak in known.weak.items()}
    assert not [name for name, said in more.items() if re.search(r"(?<!L)GPL", said)]


def test_licences_in_metadata_are_not_repeated_by_hand(
    known: Licences, locked: Mapping[str, Distribution]
) -> None:
    assert {name for name in known.read if locked[name].metadata.get("License-Expression")} == set()


def test_libraries_inside_wheels_are_listed(known: Licences) -> None:
    """What auditwheel put into the wheels that are shipped lies in folders `*.libs`."""
    found = {
        f"{library[1]} (in {name})"
        for name, part in closure(SHIPPED).items()
        for file in part.files or ()
        if file.parts[0].endswith(".libs")
        and (library := LIBRARY.match(file.name))
        and library[1] not in FREE
    }
    assert found == set(known.carried)
    assert all(
        "WITH GCC-exception" in weak.licence
        for weak in known.carried.values()
        if re.search(r"(?<!L)GPL", weak.licence)
    )


def test_notice_names_exactly_the_exceptions_with_licence_and_reason(
    known: Licences,
) -> None:
    said = {
        name: Weak(licence=licence, reason=" ".join(reason.split()))
        for name, licence, reason in NAMED.findall(NOTICE)
    }
    assert said == {**known.weak, **known.carried}


@pytest.mark.parametrize(
    ("expression", "left"),
    [
        ("MIT", set()),
        ("MIT OR GPL-3.0-only", set()),
        ("MIT AND GPL-3.0-only", {"GPL-3.0-only"}),
        ("GPL-2.0-only OR AGPL-3.0-only", {"GPL-2.0-only", "AGPL-3.0-only"}),
        ("MIT AND (ISC OR GPL-3.0-only)", set()),
    ],
)
def test_unavoidable_licences_of_an_expression_are_found(expression: str, left: set[str]) -> None:
    assert beyond(expression, frozenset({"MIT", "ISC"})) == left


def test_unread_licence_is_named() -> None:
    class Unsaid:
        name, metadata = "unsaid", Message()

    licences = Licences(allowed=frozenset(), read={}, weak={}, carried={})
    with pytest.raises(ConfigError, match="unsaid: its metadata have no SPDX"):
        licence_of(Unsaid(), licences)  # type: ignore[arg-type]
