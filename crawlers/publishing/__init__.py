"""How crawl meets the bus: captures go out signed and sealed, and what match has not read yet holds crawling back.

    outbox       signs, seals and appends captures: the only door out of this stage
    appends      in one go what comes side by side, and with patience for who cannot put it off
    bus_thread   the one thread in which calls to the bus are made
    expiry       keeps the bus within its retention
    backlog      how far match is behind, and what expired unread

The bus itself is `ullage.bus`.
"""
