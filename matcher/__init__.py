"""Stage 2: captures in, findings out; the text exists here, in memory, and nowhere else.

    Capture ─open─▶ text/ (decode, unescape, fold) ─▶ scan ─▶ tags ─▶ watchlist
            ─▶ rows, evidence ─▶ Finding

The matcher has two engines, because a keyed hash destroys substrings: candidates are found by
shape, tagged and looked up in each tenant's watchlist; the trade's jargon is found by an
Aho-Corasick automaton. Everything works on a batch of captures, since tags and look-ups cost next
to nothing in bulk and a lot one by one.
"""
