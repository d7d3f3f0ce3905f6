"""One visit to one site: pages are leased, fetched, parsed, published and marked done.

    visitor     begins visits and runs each to its end
    visit       what is leased, what is in hand, and when to stop
    pace        how soon a site is visited again, and how long it takes to read it
    spider      leases pages, fetches them, lets the platform parse them
    taken       posts that are gone are told of
    pipelines   what was seen before is left out, the rest is published, and the page is done
    look        one look at each site, for `ullage check`

When a site is visited is for `crawlers.scheduling` to say.
"""
