"""The Helm chart `ullage`, and how it is laid out: with the version, and the alert rules, of which git has no second copy."""

from __future__ import annotations

from collections.abc import Iterator

CHART, RULES = "deploy/helm/ullage/", "deploy/prometheus/rules/"
PLACE = b"0.0.0"
"""What stands in Chart.yaml where the version comes."""


def laid_out(name: str, content: bytes, version: str) -> Iterator[tuple[str, bytes]]:
    """What becomes of a file of the repository where the chart is ready to install: itself, and for a rule one in the chart."""
    yield name, content.replace(PLACE, version.encode("ascii")) if name == f"{CHART}Chart.yaml" else content
    if name.startswith(RULES):
        yield f"{CHART}rules/{name.removeprefix(RULES)}", content
