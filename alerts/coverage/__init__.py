"""The ledger of coverage: which hours of which site were seen, which were not and why, kept so that it can be proved later.

    ledger    heartbeats into documents, one a site and day
    hours     the same read back: cells of an hour, gaps, and which of them somebody explained
    sheet     each day's ledger signed, and time-stamped where that is configured
    render    as a table, as JSON
    command   `ullage coverage` and `ullage coverage explain`

An hour is seen where crawl said so with a heartbeat that came through match to alert. Nothing else makes it seen: where crawl,
match, the bus or alert stood still there is no word, and that is blind. What comes late, over a spool or after an outage of
alert, fills the hours that it is about, because it was said at the time.
"""
