"""Stage 3: findings become incidents, and people look at them.

    topic findings ─▶ fold ─▶ facts (sighting, exposure, claim) ─▶ project ─▶ incident ─▶ list, page, API
                                                        decisions of analysts ─▶ status

The store holds *facts*: each is a document with a deterministic id, written by one stage, so that a finding which comes twice,
or again after a crash, changes nothing. An incident is a *projection* of its facts, written by `alert` alone: its numbers are
exact counts, never increments, and its status is read from the decisions that `search` appends. So two processes never write
the same document, and there is nothing to lock, to merge or to repair.

`fold`, `exposures` and `incident` are pure; `alert` is the stage on one screen; `store/` is the only place that writes.
"""
