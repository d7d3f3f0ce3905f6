"""Accept posts that other programs collected: one JSON object each.

They arrive from a pipe, a file, a watched folder or over HTTP.

    submission     what one object may contain, and the captures made from it
    feed           writes captures to the bus, in batches by number, size and time
    server         `ullage intake`: POST /v1/captures; `requests` checks and answers its requests
    cli            `ullage ingest`: files, standard input and watched folders
    chat_exports   exports of chat programs, by forms that are data (`crawlers.export_forms`)
    mail_export    mail: an mbox file, a maildir or one message

The collectors for chat services write in the same way (`crawlers.collectors`).
"""
