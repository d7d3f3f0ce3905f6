"""Stage 3: group findings into incidents, notify people, and serve the console and its API.

    topic findings ─▶ grouping ─▶ facts (sighting, exposure) ─▶ projection ─▶ incident
    incident ─▶ list, page, API            decisions of analysts ─▶ status

The store holds *facts*. Each is a document with a deterministic id, written by one service, so a
finding that arrives twice, or again after a crash, changes nothing. An incident is a *projection*
of its facts that only the alert service writes: its numbers are exact counts, never increments, and
its status follows from the decisions that the search service appends. So no document is written by
two services, and nothing has to be locked or repaired.

    cli          commands                        service      the service: bus, upkeep, metrics
    web          the console and its API         cases        what people do with incidents
    coverage     monitored hours of each site    notify       who is notified, and retries
    deadlines    reports due to authorities      grouping     findings to incidents
    store        the only place that writes      records      what is written
    accounts     people, programs, permissions   translation  texts in Chinese and English
    http_post    requests to channels and time-stamping authorities

Most of `grouping` is pure; `grouping.stage` shows the whole stage on one screen.
"""
