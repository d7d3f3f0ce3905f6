"""How crawl meets the bus: captures go out signed and sealed, and what match has not read yet holds
crawling back.

    outbox     signs, seals and appends captures, from one thread: the only way out of this stage
    batching   appends in one go what arrives side by side, and waits where nothing can be put off
    backlog    how far match is behind, what expired unread, and the retention of the bus

The bus itself is `ullage.bus`.
"""
