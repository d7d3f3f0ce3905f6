"""What alert does between batches, so that the store stays within what the law and the disk allow.

    schedule    gauges counted again, and what has passed its retention removed
    retention   removal by scroll and delete, the same for every store
    erasure     one customer, or a whole tenant, taken out on request

A hold (`alerts.decisions.holds`) keeps what belongs to an incident from it.
"""
