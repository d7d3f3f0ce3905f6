"""Write the audit log: who changed what, when and why, in files where a change shows.

`Trail.append` writes one entry, durably, before the change is made; `ullage audit verify` checks
all of them. Each service that writes has a *chain* of entries and a key of its own; processes of
one service take turns. An entry contains its number, the digest of the entry before it, and its own
digest: HMAC-SHA-256 under the chain's key. So whoever lacks the key cannot change, insert or remove
an entry unnoticed. No entry contains a value of a customer.

    entry 7               entry 8               head.json
    seq       7           seq       8           seq     8
    previous  digest 6    previous  digest 7    last    digest 8
    digest    digest 7    digest    digest 8    digest  of this head

    DATA/audit/CHAIN/0000000001.jsonl   entries, one JSON object per line; the file is named after
                                        its first entry
    DATA/audit/CHAIN/head.json          where the chain begins and ends
    DATA/keys/audit/CHAIN.key           the key of its digests
    DATA/keys/audit/CHAIN.mark          its high-water mark: the last number written
                                        (DATA/audit/CHAIN.mark if the key is no file)

The head is written after the entry and signed the same way; both are on disk before `append`
returns.

What somebody with write access to the disk can do:

- without the key (another user, a restored backup, a mounted disk): `ullage audit verify` reports
  a changed byte, and an entry that was removed, inserted, moved or cut off at the end, with file
  and line; also a chain that is gone while its key exists. It reports an older copy of the folder,
  head and all, because the mark and the other chains, whose entries say how far this one had
  reached, know of more. No number is given twice: a writer continues after the last known entry and
  records an entry `audit.gap`; `verify` fails as long as that entry exists. Not detected: an older
  copy of the mark and of all chains of a host together.
- with the key (the service's own user, root): write another history. Neither a hash chain nor a
  signature by the writer prevents that.

A chain that the inventory lists (`ullage.inventory`) and that is gone completely is reported too.

Against all of these, the metric `ullage_audit_last_entry` exports the number of each chain's last
entry, and an alert fires when it decreases; `audit.syslog` names a receiver of every entry
(`ullage.audit.forwarding`). Or store the output of `ullage audit verify --json` on another machine
every day: `--expect FILE` later tells whether this history still begins with that one.
"""

from ullage.audit.entry import AuditEntry
from ullage.audit.trail import Trail, current_user
from ullage.audit.verify import ChainCheck, Fault, read_entries, walk, walk_all

__all__ = [
    "AuditEntry",
    "ChainCheck",
    "Fault",
    "Trail",
    "current_user",
    "read_entries",
    "walk",
    "walk_all",
]
