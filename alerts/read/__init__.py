"""Reading the store for people: the same filters, numbers and words for terminal, page, API and export.

    query     the list of incidents as people ask for it
    view      an incident as JSON for programs, as text for people
    sellers   the posts of one seller
    heard     what an empty list is worth
    recent    what the last month's incidents expose, for gauges
    tenants   whoever the store has something of

Nothing here writes.
"""
