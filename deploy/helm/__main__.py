"""Lays out the chart as it is installed: with this version, and with the alert rules, of which there is no second copy in git.

python -m deploy.helm FOLDER
helm install ullage FOLDER/ullage --values my-values.yaml      # or: helm package FOLDER/ullage
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ullage import __version__
from ullage.errors import ConfigError, UllageError

CHART = Path(__file__).with_name("ullage")
RULES = Path(__file__).parents[1] / "prometheus" / "rules"
PLACE = "0.0.0"
"""What stands in Chart.yaml where the version comes."""


def lay_out(folder: Path) -> Path:
    """Make `folder/ullage`, which is not there yet, and return it; ConfigError where it is."""
    chart = folder / CHART.name
    try:
        shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("ci"))
    except FileExistsError:
        raise ConfigError(f"{chart} is there already: remove it, or name another folder") from None
    shutil.copytree(RULES, chart / RULES.name)
    about = chart / "Chart.yaml"
    about.write_text(about.read_text(encoding="utf-8").replace(PLACE, __version__), encoding="utf-8")
    return chart


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        lay_out(Path(sys.argv[1]).resolve())
    except UllageError as error:
        sys.exit(f"helm: {error}")
