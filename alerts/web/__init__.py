"""Serve the console and its API.

Its policy allows one script of its own, which is for keys alone: every job can be done without it.
What a person types to look somebody up travels in a POST body, is tagged in memory and forgotten;
nothing typed is ever logged, for no request is.

    middleware    host, origin, size and headers of every request and answer
    auth          token and sessions
    dependencies  what a route needs, and what it gets: narrowed to what whoever asks may see
    pages         a page a file
    api           the same as JSON
    app           all of it, and /metrics, /healthz, /readyz
"""
