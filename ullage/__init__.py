"""What at least two stages need: records, sealing, keys, the bus, the worker loop, identifiers, tags, and the verdict.

    site ──spider──▶ Capture ─seal─▶ topic captures ─▶ match ─▶ topic findings ─▶ fold ─▶ incident store ─▶ search
    chat feed ─ingest─┘                                  │                          │
                                            hashed watchlist, lexicon      metrics, reports

`crawlers`, `matcher` and `alerts` import this package and never one another; this package imports none of them.
A module belongs here only if two stages reach it.
"""

__version__ = "0.1.0"
