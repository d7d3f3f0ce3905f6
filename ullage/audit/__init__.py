"""The audit log: what was changed, by whom, when and why, in files that are only ever appended to.

    DATA/audit/CHAIN/0000000001.jsonl   entries, one JSON object a line; a file is named after its first entry
    DATA/audit/CHAIN/head.json          where the chain begins and ends
    DATA/keys/audit/CHAIN.key           the key of its digests
    DATA/keys/audit/CHAIN.mark          its high-water mark: how far it went (DATA/audit/CHAIN.mark where the key is no file)

Each role that writes has a chain and a key of its own; processes of one role take turns. An entry
holds its number, the digest of the entry before it, and its own digest: HMAC-SHA-256 under the
chain's key. The head is written, and signed alike, after the entry; both are on disk before
`append` returns, and `append` returns before the change is made. No entry holds a value.

What whoever can write to the disk can do about it:

- without the key (another user, a restored backup, a mounted disk): a byte that was changed, an
  entry that was taken out, put in, moved or cut off at the end is told by `ullage audit verify`
  with file and line, and so is a chain that is gone while its key is there. So is an older copy of
  the folder, head and all: its mark and the other chains, whose entries say how far this one had
  gone, know of more. No number is given twice: whoever writes goes on behind the last known entry,
  and says so in an entry `audit.gap`; `verify` fails as long as that is kept. Not told is who puts
  back mark and all chains of a host together.
- with the key (the role's own user, root): can write another history. Neither a hash chain nor a
  signature by the writer helps.

A chain that the inventory lists (`ullage.inventory`) and of which nothing is left is named as well.

Against all of it: the metric `ullage_audit_last_entry` has the number of each chain's last entry,
and an alert fires when it decreases; `audit.syslog` names a receiver of every entry
(`ullage.audit.forwarding`). Or keep what `ullage audit verify --json` prints on another machine,
every day: `--expect FILE` says later whether that very history is still the beginning of this one.
"""  # noqa: E501

from ullage.audit.entry import AuditEntry
from ullage.audit.trail import Trail, current_user
from ullage.audit.verify import ChainCheck, Fault, entries, walk, walk_all

__all__ = [
    "AuditEntry",
    "ChainCheck",
    "Fault",
    "Trail",
    "current_user",
    "entries",
    "walk",
    "walk_all",
]
