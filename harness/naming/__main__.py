"""`python -m harness.naming`: whether names and docstrings are as plain as they once were.

Prints each fault of the parts in which there are more than the limit allows, and, where there are
fewer, the limit to write down. `--list FOLDER…` prints the faults of folders and judges nothing.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from harness.naming.count import DOCSTRING, ERRORS, FUNCTION, VARIABLE, Fault, find_faults

LIMITS = {
    "product": {FUNCTION: 69, DOCSTRING: 0, VARIABLE: 222, ERRORS: 0},
    "tests": {FUNCTION: 69, DOCSTRING: 0, VARIABLE: 206},
}
"""Faults that are still there; only ever lowered."""
PARTS = {
    "product": ("ullage", "crawlers", "matcher", "alerts", "deploy"),
    "tests": ("tests", "harness"),
}


def list_faults(folders: tuple[str, ...]) -> list[tuple[Path, Fault]]:
    """Return the faults of all modules below `folders`, by path and line."""
    paths = (path for folder in folders for path in sorted(Path(folder).rglob("*.py")))
    return [
        (path, fault) for path in paths for fault in sorted(find_faults(path.read_text("utf-8")))
    ]


def judge(part: str) -> list[str]:
    """Return the lines to print for a part; none where each count is at its limit."""
    faults = list_faults(PARTS[part])
    counts = Counter(fault.kind for _, fault in faults)
    lines = list[str]()
    for kind, limit in LIMITS[part].items():
        if counts[kind] > limit:
            lines += [
                f"{path}:{fault.line} {fault.name}" for path, fault in faults if fault.kind == kind
            ]
            lines.append(f"{part}, {kind}: {counts[kind]}, at most {limit} allowed (above)")
        elif counts[kind] < limit:
            lines.append(f"{part}, {kind}: {counts[kind]}, write this limit into {__file__}")
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["--list"]:
        listed = list_faults(tuple(sys.argv[2:]))
        sys.stdout.writelines(
            f"{path}:{each.line} {each.kind} {each.name}\n" for path, each in listed
        )
        sys.exit(0)
    report = [line for part in PARTS for line in judge(part)]
    sys.stdout.writelines(f"{line}\n" for line in report)
    sys.exit(bool(report))
