"""The Helm chart `ullage`, and how it is laid out: with the version, the alert rules and the
boards, each once in git.
"""

from __future__ import annotations

from collections.abc import Iterator

CHART, RULES, BOARDS = (
    "deploy/helm/ullage/",
    "deploy/prometheus/rules/",
    "deploy/grafana/dashboards/",
)
PLACE = b"0.0.0"
"""What stands in Chart.yaml where the version comes."""


def laid_out(name: str, content: bytes, version: str) -> Iterator[tuple[str, bytes]]:
    """What becomes of a file of the repository where the chart is ready: itself, and for a rule
    or a board one in the chart.
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
