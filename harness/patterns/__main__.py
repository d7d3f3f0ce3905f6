"""`python -m harness.patterns`: whether each regular expression of the program takes no longer than
its text is long.

Names each that may not, with a text that shows it when repeated, each that measurably does not on
its worst texts, and exemptions that are needed no more.
"""

from __future__ import annotations

import sys

from harness.patterns.ambiguity import faults
from harness.patterns.collection import PatternUse, collect
from harness.patterns.exempt import BOUNDED, OURS, PROVEN
from harness.patterns.growth import growth


def unsafe(found: list[PatternUse]) -> list[str]:
    """Return a line for each fault."""
    lines, needed = list[str](), set[str]()
    exempt = {*BOUNDED, *OURS, *PROVEN}
    for use in found:
        problems = faults(use.pattern, is_searched=use.is_searched, is_whole=use.is_whole)
        needed |= {use.name} if problems else set()
        lines += [f"{use.name}: {fault}" for fault in problems if use.name not in exempt]
        lines += [f"{use.name}: {fault}" for fault in (growth(use) if use.name not in OURS else ())]
    return lines + [
        f"{name}: is exempt and needs it no more (harness/patterns/exempt.py)"
        for name in sorted(exempt - needed)
    ]


if __name__ == "__main__":
    every = collect()
    lines = unsafe(every)
    sys.stdout.write(
        "".join(f"{line}\n" for line in lines)
        or f"{len(every)} regular expressions take time as their text is long\n"
    )
    sys.exit(bool(lines))
