"""The lock file installs on any pip, also on the day when a newer version of something in it is
published.
"""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.bundle.parts import PRODUCT, SHIPPED, closure

LOCK = Path(__file__).parents[2] / "requirements" / "dev.txt"
LOCKS = sorted(LOCK.parent.glob("*.txt"))
LINE = re.compile(
    r"^[\w.-]+(\[[\w,.-]+\])?==\S+( ; [^\\]+)? \\$|^    --hash=sha256:[0-9a-f]{64}( \\)?$"
)
"""A pin, of some machines alone where it says so, or a hash of it."""
PINNED = re.compile(r"^([\w.-]+)(?:\[([\w,.-]+)\])?==", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)\S*==(\S+)", lock.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_contains_only_hashed_pins_of_the_development_lock(
    lock: Path,
) -> None:
    lines = [
        line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith("#")
    ]
    assert len(lines) > 50
    assert [line for line in lines if not LINE.match(line)] == []
    assert pins(lock).items() <= pins(LOCK).items()


def test_lock_of_the_product_is_complete() -> None:
    assert pins(LOCK.with_name("all.txt")) == {
        name: part.version for name, part in closure(SHIPPED).items() if name != PRODUCT
    }


def test_lock_names_each_extra_required_by_a_dependency() -> None:
    """Else a pip before 23.3 takes the newest version of what has the extra, which no hash is
    known of.
    """
    locked = {
        canonicalize_name(name): set(extras.split(","))
        for name, extras in PINNED.findall(LOCK.read_text())
    }
    asked = [
        (canonicalize_name(needed.name), needed.extras)
        for found in metadata.distributions()
        if canonicalize_name(found.name) in locked
        for needed in map(Requirement, found.requires or ())
        if needed.extras and (needed.marker is None or needed.marker.evaluate({"extra": ""}))
    ]
    assert asked, "none was asked for: this looks at nothing"
    assert [(name, extras) for name, extras in asked if not extras <= locked[name]] == []
