"""Connect crawl to the bus: captures are signed and encrypted, and unread ones hold crawling back.

    outbox     signs, encrypts and appends captures from one thread: the only way out of this stage
    batching   appends concurrent captures together, and waits where nothing can be postponed
    backlog    how far match is behind, captures that expired unread, and the retention of the bus

The bus itself is `ullage.bus`.
"""
