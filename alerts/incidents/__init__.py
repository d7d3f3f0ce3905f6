"""From findings to incidents: pure functions over facts; `erased`, `key_checks`, `replaced` and `status` read the store.

    sketch       a set of customers in a few hundred digests, by which two sets are compared
    fold         which incident a finding belongs to
    ties         which posts of one seller belong together, whatever they say
    joint        what those posts hold together, as if they were one
    exposures    from a finding's matches to one exposure a customer
    replay       which of its customers stood with the same fields in other incidents before
    replaced     an incomplete finding gives way to the whole one
    projection   the incident that its sightings and exposures make
    status       what the decisions about an incident add up to
    erased       what was erased does not come back
    key_checks   under which keys the facts were made

Whoever writes them is `alerts.stage.pipeline`.
"""
