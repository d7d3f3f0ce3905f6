"""Code that at least two stages share: records, keys, the bus, the worker loop and the verdict.

    site ──spider──▶ Capture ─seal─▶ topic captures ─▶ match ─▶ topic findings
    chat feed ─ingest─┘                                  │            │
                                        hashed watchlist, lexicon     │
                                                                      ▼
                 metrics, reports, search ◀── incident store ◀── grouping

    cli, commands, setup   the command line     vocabulary   closed lists of words
    runtime     processes of the services       records      messages between stages
    settings    the configuration               security     keys, sealing, signing, tags
    bus         topics of records               identifiers  one kind of identifier per file
    audit       who changed what                lookup       values and sellers by their tags
    custody     sealed originals                files        atomic, locked, trusted, SQLite
    verdict     exposure, origin, severity      monitoring   metrics, heartbeats, canary posts
    display     terminal output

`crawlers`, `matcher` and `alerts` import this package and never one another; this package imports
none of them. A module belongs here only if two stages use it.
"""

__version__ = "0.1.0"
