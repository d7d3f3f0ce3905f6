"""Serve the console and its API.

    middleware    checks host, origin, size and headers of every request and response
    auth          finds out who sends a request, by token or session
    dependencies  gives a route what it works with, limited to what its caller may see
    pages         the pages, one module each
    api           the same as JSON
    app           puts all of it together, with /metrics, /healthz and /readyz

The content security policy allows one script of our own, which handles keyboard shortcuts only:
everything can be done without it. A value that somebody types to look a person up travels in a POST
body, is hashed in memory and forgotten. No request is logged, so nothing typed ever is.
"""
