"""What the later stages leave is frozen: a change that means to alter it freezes anew (`python
-m tests.alerts.golden`).
"""

import json
from pathlib import Path

from tests.alerts import golden
from tests.matcher.golden import digests


def test_later_stages_agree_with_golden_files(tmp_path: Path) -> None:
    frozen = json.loads(golden.FROZEN.read_text(encoding="utf-8"))
    now = digests(golden.texts(tmp_path))
    changed = sorted(
        name for name in frozen.keys() | now.keys() if frozen.get(name) != now.get(name)
    )
    assert not changed, (
        f"where this is meant, python -m tests.alerts.golden freezes it anew: {', '.join(changed)}"
    )
