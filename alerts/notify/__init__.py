"""Who is told of incidents, and the promise that they are.

    fold ─▶ incident ─▶ plan ─▶ notification log (store) ─▶ one sender a channel ─▶ DingTalk, Feishu, mail, webhook …
                         routes      pending, by due time      a thread each

What is to be said is written to the store together with the incident, before the finding is committed: so nothing is lost,
whatever dies. A sender reads what is due from there, groups it, writes which message it goes out with, and tries until it
arrives or a day has passed. A channel that hangs holds up itself alone. The log has deterministic ids, so that the same finding
again, or a restart, tells nobody twice; a crash in the middle of an attempt repeats that one message, with its id.

By default nothing leaves the house but severity, incident number and the page's address. A channel is one table of the settings
and one text file in the key folder, `keys/notify/CHANNEL` (0600): the address on the first line, and on the second what signs,
where the kind has it. A kind is one file in `channels/`, which registers by being there.
"""
