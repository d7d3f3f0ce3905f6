"""Complete the Helm chart `ullage` with its version, the alert rules and the boards.

Each of these is stored in git only one time.
"""

from __future__ import annotations

from collections.abc import Iterator

CHART, RULES, BOARDS = (
    "deploy/helm/ullage/",
    "deploy/prometheus/rules/",
    "deploy/grafana/dashboards/",
)
PLACE = b"0.0.0"
"""The placeholder of the version in Chart.yaml."""


def laid_out(name: str, content: bytes, version: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files that a file of the repository becomes: path and content of each.

    This is the file itself, with the version filled in. A rule or a board is also copied into the
    chart.
    """
    yield (
        name,
        content.replace(PLACE, version.encode("ascii"))
        if name == f"{CHART}Chart.yaml"
        else content,
    )
    for folder, inside in ((RULES, "rules/"), (BOARDS, "dashboards/")):
        if name.startswith(folder):
            yield f"{CHART}{inside}{name.removeprefix(folder)}", content
