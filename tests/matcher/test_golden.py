"""Matching gives what it gave: a change that means to alter it freezes anew (`python -m
tests.matcher.golden`) and says why.
"""

import json
from pathlib import Path

from tests.matcher import golden


def test_matching_agrees_with_golden_file(tmp_path: Path) -> None:
    frozen = json.loads(golden.FROZEN.read_text(encoding="utf-8"))
    now = golden.digests(golden.texts(tmp_path))
    changed = sorted(
        name for name in frozen.keys() | now.keys() if frozen.get(name) != now.get(name)
    )
    assert not changed, (
        f"where this is meant, python -m tests.matcher.golden freezes it anew: {', '.join(changed)}"
    )
