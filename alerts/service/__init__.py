"""Run the alert service.

    authentic   whom alert believes
    heartbeat   what is on the topic beside findings of real posts
    pipeline    findings, facts, incidents, a batch at a time
    canary      canary posts, decided on by the same code on a store of their own

The loop around it is `ullage.runtime.worker`.
"""
