"""Run the alert service.

    process             the service itself, and its checks
    intake              signatures, heartbeats and canary posts; findings go to `alerts.grouping`
    upkeep              work between batches: gauges, retention, erasure
    metrics             metrics of the service and of deadlines
    assessed_incidents  questions of `ullage assess`

The loop around it is `ullage.runtime.worker`.
"""
