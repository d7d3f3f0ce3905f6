"""Collectors of chats, each service a process of its own: `ullage collect
matrix|xmpp|telegram|imap`.

    channel   a channel: one TOML file that says by what right it is read, and until when
    session   what a service must give: batches of messages, a cursor, gaps, and the faults that blind us
    ledger    which messages were seen, how far each channel was read, what state it is in
    runner    the loop: batches to the bus, then to the ledger; states, heartbeats, refetches
    matrix, xmpp, telegram, imap   the services; each library is loaded by its own command alone
    matrix_server   the calls that matrix makes

A message is noted as seen only after it is durable on the bus, and the cursor moves only after its
messages: whatever kills the process, what it had in hand is read again from the service's history.
"""  # noqa: E501
