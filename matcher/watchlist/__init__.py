"""The watchlist: keyed tags of a tenant's customers. Built where the customer list is, used where the leaks are.

(In anti-money-laundering a watchlist holds sanctioned persons; ours holds our own customers.) `build` runs on a host
with no network: it reads the export and writes `T.watchlist` (signed; tags and handles, no reference) and `T.subjects`
(handle → customer_ref, sealed to the resolver), which never leaves. `install` refuses an unsigned, foreign or expired
file and swaps it in whole. `load` does both on one machine.
"""

from matcher.watchlist.file import read_header
from matcher.watchlist.index import Watchlist

__all__ = ["Watchlist", "read_header"]
