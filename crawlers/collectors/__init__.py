"""Read chats: each service is collected by a process of its own.

Start one with `ullage collect matrix`, `xmpp`, `telegram` or `imap`.

    channel         a channel file: where to read, on what legal basis, and until when
    session         the interface of a chat service: batches of messages, cursors, gaps, faults
    channel_log     stored messages, the position in each channel, and its state
    collector       the loop: batches go to the bus, then to the log; states, heartbeats
    matrix, xmpp, telegram, imap   the services; each library is loaded by its own command only
    matrix_server   the HTTP calls that `matrix` makes

A message is recorded only after it is durable on the bus, and the cursor moves only after its
messages. After a crash, unfinished messages are read again from the service's history.
"""
