"""Stage 1: visit sites, and append each new post, paste or file to topic `captures`, encrypted.

    command ─▶ scheduler ─▶ visit ─▶ spider ──▶ middlewares ──▶ site
                              │         │ platform.parse
                           frontier ◀── pipelines (seen, publish) ──▶ topic captures

Scrapy only fetches. The state of pages (due, leased, done) is in our own frontier, because Scrapy's
job folder lost pages on `kill -9`: a page is done in the same transaction that records its posts as
read, and only after its captures are durable on the bus. After a crash in between it is fetched
again, and match removes the duplicate.

The outcome of a visit's pages is judged (`crawlers.sites.visit_verdict`), and together with the
site's own rhythm and the egress it gives the site's state (`crawlers.scheduling.site_status`),
which a heartbeat carries through all stages: whoever receives no findings knows whether that is
good news.

A *site* is data (one TOML file), and so is a *preset*, which describes the pages of one kind of
site software (one file in `presets/`); a *platform* is code that reads pages by them (one file in
`platforms/`). Adding one touches nothing else. One process at a time holds a site, with its pace,
its robots rules and its waits.
"""
