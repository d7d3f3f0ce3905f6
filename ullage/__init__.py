"""What at least two stages need: records, sealing, keys, the bus, the worker loop, identifiers,
tags, and the verdict.

    site ──spider──▶ Capture ─seal─▶ topic captures ─▶ match ─▶ topic findings ─▶ fold ─▶ incident store ─▶ search
    chat feed ─ingest─┘                                  │                          │
                                            hashed watchlist, lexicon      metrics, reports

    cli, commands, setup   the command line          vocabulary   closed lists of words
    runtime     how a role's process runs          records      what crosses stages
    settings    one configuration                  security     keys, sealing, signing, tags
    bus         topics of records                  identifiers  a kind of identifier a file
    audit       what was changed, by whom          lookup       values and sellers by their tags
    custody     what was posted, sealed            files        atomic, locked, trusted, SQLite
    verdict     exposure, origin, severity         monitoring   metrics, heartbeats, canary posts
    display     what people are shown

`crawlers`, `matcher` and `alerts` import this package and never one another; this package imports
none of them. A module belongs here only if two stages reach it.
"""  # noqa: E501

__version__ = "0.1.0"
