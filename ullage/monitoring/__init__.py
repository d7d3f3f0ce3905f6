"""How the pipeline is watched: metrics on loopback, heartbeats, and canary posts that are timed
from end to end.

    loopback    a small web server on loopback
    metrics     /metrics, /healthz and /readyz of one role
    heartbeat   metrics of the heartbeats that crawl sends down the pipe
    canary      posts of our own about people who do not exist

Labels of metrics come from configuration and closed lists alone.
"""
