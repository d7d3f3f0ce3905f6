"""What the crawler remembers, in one encrypted SQLite file: pages that are due, leased and done,
and each site's history.

    database   the frontier: leases, visits
    posts      posts that were seen, edited, and are gone
    progress   how far match has read, and what is read again
    history    a site as a whole: its state, when new posts came, when it could not be seen
    forgetting  pages that no list has shown for long
    moving     sites go from one crawl host to another
    cipher     what makes the file unreadable without `frontier.key`

A page is done in the transaction that records its posts as seen, and only after its captures are
durable on the bus.
"""
