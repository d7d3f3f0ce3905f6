"""`python -m harness.patterns`: whether each regular expression of the program takes no longer than
its text is long.

Names each that may not, with a text that shows it when repeated, each that measurably does not on
its worst texts, and exemptions that are needed no more.
"""

from __future__ import annotations

import sys

from harness.patterns.ambiguity import faults
from harness.patterns.collection import PatternUse, collected
from harness.patterns.exempt import BOUNDED, OURS, PROVEN
from harness.patterns.growth import growth


def unsafe(found: list[PatternUse]) -> list[str]:
    """A line for each fault."""
    said, needed = list[str](), set[str]()
    exempt = {*BOUNDED, *OURS, *PROVEN}
    for one in found:
        told = faults(one.pattern, is_searched=one.is_searched, is_whole=one.is_whole)
        needed |= {one.name} if told else set()
        said += [f"{one.name}: {fault}" for fault in told if one.name not in exempt]
        said += [f"{one.name}: {fault}" for fault in (growth(one) if one.name not in OURS else ())]
    return said + [
        f"{name}: is exempt and needs it no more (harness/patterns/exempt.py)"
        for name in sorted(exempt - needed)
    ]


if __name__ == "__main__":
    every = collected()
    lines = unsafe(every)
    sys.stdout.write(
        "".join(f"{line}\n" for line in lines)
        or f"{len(every)} regular expressions take time as their text is long\n"
    )
    sys.exit(bool(lines))
