"""Stage 1: visits sites, turns each new post, paste or file into one sealed capture, and appends it
to topic `captures`.

    command ─▶ scheduler ─▶ visit ─▶ spider ──▶ middlewares ──▶ site
                              │         │ platform.parse
                           frontier ◀── pipelines (seen, publish) ──▶ topic captures

Scrapy is only the fetcher. What is due, what is in hand and what is done stands in our own
frontier, because Scrapy's job folder lost pages on `kill -9`: a page is done in the same
transaction that records its posts as seen, and only after its captures are durable on the bus.
Whatever dies in between is fetched again, and match removes the duplicate.

What came of a visit's pages is judged (`page_verdict`), and with the site's own rhythm and the way
out it makes the site's state (`site_state`), which a heartbeat takes through the whole pipe:
whoever hears nothing knows whether that is good news.

A *site* is data (one TOML file), and so is a *preset*, what the pages of one kind of site software
look like (one file in `presets/`); a *platform* is code that reads by them (one file in
`platforms/`). Adding one touches nothing else. One process at a time holds a site, with its pace,
its robots rules and its waits.
"""
