"""The watchlist: keyed tags of a tenant's customers.

Built where the customer list is, used where the leaks are.

(In anti-money-laundering a watchlist holds sanctioned persons; ours holds our own customers.)
`build` runs on a host with no network: it reads the export and writes `T.watchlist` (signed; tags
and handles, no reference) and `T.subjects` (handle → customer_ref, sealed to the resolver), which
never leaves. `install` refuses an unsigned, foreign or expired file and swaps it in whole. `load`
does both on one machine.

From the list to the file:

    source        the list as a bank exports it, in batches of columns; what each column holds
    cohorts       labels of customers, and bait, a list of which is stamped as a file: columns of another kind
    witness       amount and date of a loan
    tagging       normal forms of a column's cells, the forms in which they are enrolled, the keys under which they are tagged
    runs          more tags than memory holds, in order
    build         all of this in turn; `build_report`: what was left out, and whether the sender's totals are right
    changes       a day's changes, as a small file beside the list; one customer taken out at once
    subjects      the sealed way back from handle to reference

From the file to an answer:

    file          the layout: signed header, arrays, digests; what is checked of it when, and what was erased in it
    index         looking tags up, in a list with its changes
    installed     the lists that are in use here
"""  # noqa: E501

from matcher.watchlist.file import read_header
from matcher.watchlist.index import Watchlist

__all__ = ["Watchlist", "read_header"]
