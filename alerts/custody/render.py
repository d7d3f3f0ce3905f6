"""Sealed and opened evidence on a terminal. What was posted is untrusted: control and direction marks are shown as escapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from alerts.custody.opening import OpenedEvidence
from ullage.custody.vault import VaultItem
from ullage.display.render import moment, safe
from ullage.display.screen import cell, table

LINES = 200
"""Of a body; a pack has all of it."""


def evidence_as_json(item: VaultItem, incidents: Mapping[str, str]) -> dict[str, Any]:
    """One sealed file as a JSON object."""
    incident = incidents.get(item.head.finding, "")
    return {**item.head.model_dump(mode="json"), "incident": incident, "bytes": item.bytes, "held": item.held}


def evidence_table(items: Sequence[VaultItem], incidents: Mapping[str, str]) -> Table:
    """One line a sealed file."""
    made = table("finding", "incident", "tenant", "sealed", "KiB", "officers", "held", right=("KiB",))
    for item in items:
        head = item.head
        officers = ", ".join(id_.rpartition(".")[0] for id_ in head.officers)
        size, held = f"{item.bytes / 1024:,.0f}", "held" if item.held else ""
        incident = incidents.get(head.finding, "–")
        made.add_row(head.finding, incident, cell(head.tenant), moment(head.sealed_at), size, officers, held)
    return made


def manifest_lines(one: OpenedEvidence) -> Iterator[str]:
    """The manifest as `name  value`, digests and process log last."""
    made = one.manifest
    yield f"finding    {made.finding}  {made.tenant}  {made.severity}  {made.bytes:,} bytes"
    for name, value in made.capture.items():
        if value and name != "headers":
            yield f"{name:<10} {safe(str(value))}"
    headers = made.capture.get("headers")
    for header in headers if isinstance(headers, list) else ():
        yield f"header     {safe(': '.join(map(str, header)))}"
    for name, digest in made.sha256.items():
        yield f"sha256     {digest}  {name}"
    for step in made.process:
        yield f"process    {step.at.isoformat(timespec='seconds')}  {step.role}: {step.what}"


def text_lines(one: OpenedEvidence) -> Iterator[str]:
    """The beginning of what was posted, as text; bytes that are none are shown as escapes."""
    yield ""
    lines = one.body.decode("utf-8", "backslashreplace").splitlines()
    yield from map(safe, lines[:LINES])
    if len(lines) > LINES:
        yield f"… {len(lines) - LINES:,} more lines: `ullage evidence open --out` writes all of it"
