"""What the crawler stores, in one encrypted SQLite file: due and done pages, histories of sites.

    database    the frontier: which pages are due, leased and done; visits
    file        the SQLite file, and finished pages that are written together
    leases      one leased page, and the pages that are leased next
    posts       posts that were read, edited, or are gone
    progress    how far match has read, and what is read again
    history     a site as a whole: its state, arrivals of posts, unreachable times
    forgetting  deletes pages that no list has shown for long
    moving      moves sites from one crawl host to another
    cipher      makes the file unreadable without `frontier.key`

A page is done in the transaction that records its posts as read, and only after its captures are
durable on the bus.
"""
