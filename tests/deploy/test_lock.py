"""The lock file installs on any pip, also on the day when a newer version of something in it is published."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[2] / "requirements" / "dev.txt"
PINNED = re.compile(r"^([\w.-]+)(?:\[([\w,.-]+)\])?==", re.MULTILINE)


def test_the_lock_names_each_extra_that_a_dependency_asks_for() -> None:
    """Else a pip before 23.3 takes the newest version of what has the extra, which no hash is known of."""
    locked = {canonicalize_name(name): set(extras.split(",")) for name, extras in PINNED.findall(LOCK.read_text())}
    asked = [
        (canonicalize_name(needed.name), needed.extras)
        for found in metadata.distributions()
        if canonicalize_name(found.name) in locked
        for needed in map(Requirement, found.requires or ())
        if needed.extras and (needed.marker is None or needed.marker.evaluate({"extra": ""}))
    ]
    assert asked, "none was asked for: this looks at nothing"
    assert [(name, extras) for name, extras in asked if not extras <= locked[name]] == []
