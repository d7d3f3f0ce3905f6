"""Watch the pipeline: metrics on loopback, heartbeats, and canary posts that are timed end to end.

    loopback    a small web server on loopback
    metrics     /metrics, /healthz and /readyz of one service
    heartbeat   metrics of the heartbeats that crawl sends through the pipeline
    canary      our own posts about people who do not exist

Metric labels come only from configuration and closed lists.
"""
