"""Lays out the chart as it is installed; in the archive of a release it is so already.

python -m deploy.helm FOLDER
helm install ullage FOLDER/ullage --values my-values.yaml      # or: helm package FOLDER/ullage
"""

from __future__ import annotations

from pathlib import Path

from deploy import into_a_folder
from deploy.helm import BOARDS, CHART, RULES, laid_out
from ullage import __version__
from ullage.errors import ConfigError

ROOT = Path(__file__).parents[2]


def lay_out(folder: Path) -> Path:
    """Create `folder/ullage`, the chart with rules and boards, and return it.

    Raises ConfigError where it already exists.
    """
    chart = folder / "ullage"
    if chart.exists():
        raise ConfigError(f"{chart} is there already: remove it, or name another folder")
    for path in sorted(
        path
        for part in (CHART, RULES, BOARDS)
        for path in (ROOT / part).rglob("*")
        if path.is_file()
    ):
        for name, content in laid_out(
            path.relative_to(ROOT).as_posix(), path.read_bytes(), __version__
        ):
            if name.startswith(CHART):
                target = chart / name.removeprefix(CHART)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return chart


if __name__ == "__main__":
    into_a_folder("helm", __doc__, lay_out)
