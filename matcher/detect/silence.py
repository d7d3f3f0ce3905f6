"""Texts that hold nothing, told from the bytes that came: most prose of most sites, and none of it needs to be folded.

What prose has to fold are signs (`signs`) that stand in no value: every search finds as much in the text as it came as in the
folded one, and more here and there. Where anything is found the text is folded and searched once more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.columns.batch import Batch, Flags
from matcher.detect.labelled import find_labelled, header_lines
from matcher.detect.masked import find_masked
from matcher.detect.prescan import Sieve
from matcher.detect.search import search
from matcher.text.codepoints import holding
from matcher.text.needs_unescape import doubted
from matcher.text.runs import long_runs


def silent(bodies: Sequence[bytes], sieve: Sieve) -> Flags:
    """Which of `bodies`, UTF-8 without an at sign, that would be folded in `signs` alone, hold nothing: bool[bodies].

    Nothing is: no candidate, weak or not, no word of the lexicon, no label beside a value or in a header, and nothing to undo.
    """
    batch = Batch.of(bodies)
    seen = sieve.find(batch.data)
    found = search(batch, [*find_labelled(batch, seen.labelled), *find_masked(batch, seen.masked)])
    headers = batch.line_starts[header_lines(batch, seen.labelled[0])]
    places = [seen.words[1] - 1, seen.labelled[1] - 1, headers, long_runs(batch.data), *(segment.start for segment in found)]
    loud = holding(np.concatenate(places), batch.starts)
    return ~(loud | doubted(batch.data, batch.starts, batch.ends, seen=len(seen.undone[0]) > 0))
