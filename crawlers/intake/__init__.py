"""Captures that others collect: from a pipe, a file, a watched folder or over HTTP, one JSON object
each.

    line      what one object says, and the captures it becomes
    feed      from objects to records that are durable on the bus: sites, keys, batches by size and by time
    service   `ullage intake`: POST /v1/captures (what may be said and answered: requests)
    command   `ullage ingest`: files and standard input
    watched   a folder from which files are taken once
    exports   what chat programs export, by forms that are data (`crawlers.export_forms`), and mail

Collectors of our own hand over in the same way (`crawlers.collectors`).
"""  # noqa: E501
