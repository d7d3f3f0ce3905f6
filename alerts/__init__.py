"""Stage 3: group findings into incidents, notify people, and serve what they work with.

    topic findings ─▶ grouping ─▶ facts (sighting, exposure) ─▶ projection ─▶ incident ─▶ list, page, API
                                                         decisions of analysts ─▶ status

The store holds *facts*: each is a document with a deterministic id, written by one service, so that
a finding which comes twice, or again after a crash, changes nothing. An incident is a *projection*
of its facts, written by `alert` alone: its numbers are exact counts, never increments, and its
status is read from the decisions that `search` appends. So two processes never write the same
document, and there is nothing to lock or to repair.

    cli          commands                                        service      the alert service: bus, upkeep, metrics
    web          the console and its API                         cases        what people do with incidents
    coverage     which hours of which site were monitored        notify       who is notified, and the promise that they are
    deadlines    which authority must be told by when            grouping     findings to incidents
    store        the only place that writes                      records      what is written
    accounts     people, programs and their permissions          translation  texts in Chinese and English
    http_post    requests to channels and time-stamping authorities

Most of `grouping` is pure; `grouping.stage` is the stage on one screen.
"""  # noqa: E501
