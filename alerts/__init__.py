"""Stage 3: findings become incidents, and people look at them.

    topic findings ─▶ fold ─▶ facts (sighting, exposure, holding) ─▶ project ─▶ incident ─▶ list, page, API
                                                        decisions of analysts ─▶ status

The store holds *facts*: each is a document with a deterministic id, written by one stage, so that a finding which comes twice,
or again after a crash, changes nothing. An incident is a *projection* of its facts, written by `alert` alone: its numbers are
exact counts, never increments, and its status is read from the decisions that `search` appends. So two processes never write
the same document, and there is nothing to lock, to merge or to repair.

    stage         the topic's records, batch by batch           maintenance   retention, gauges
    incidents     fold, exposures, replay, projection           decisions     what people decide, holds
    noise         what is no leak, what is suppressed           clocks        who must be told by when
    notify        who is told, and the promise that they are    read          lists, filters, views
    lookup        one person on the phone                       search        the page and its API
    report, export, custody, rules                              commands around incidents
    store         the only place that writes                    records       what is written

Most of `incidents` is pure; `stage.pipeline` is the stage on one screen.
"""
