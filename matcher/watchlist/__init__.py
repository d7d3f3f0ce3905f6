"""The watchlist: keyed hashes of a tenant's customers.

It is built where the customer list is, and used where the leaks are. (In anti-money-laundering a
watchlist holds sanctioned persons; ours holds our own customers.) `build` runs on a host without a
network: it reads the export and writes `T.watchlist` (signed; keyed hashes and pseudonyms, no
reference) and `T.subjects` (pseudonym → customer_ref, encrypted for the resolver), which never
leaves. `install` refuses an unsigned, foreign or expired file and replaces the list as a whole.
`load` does both on one machine.

From the list to the file:

    source        the list as a bank exports it, in batches of columns; what each column holds
    cohorts       labels of customers, and honeytokens, a list of which is recorded as a file
    tagging       normal forms of a column's cells, and the forms and keys of their hashes
    runs          more keyed hashes than memory holds, sorted
    build         all of this in turn, with a report and a check of the sender's totals
    changes       a day's changes, as a small file beside the list; the erasure of one customer
    subjects      the encrypted references by pseudonym
    transfers     which customers were given to whom; named_rows: files that name customers

From the file to an answer:

    file          the layout: signed header, arrays, digests; what is checked when; erasures
    index         looking hashes up, in a list with its changes
    installation  the lists that are in use on this host
"""

from matcher.watchlist.file import read_header
from matcher.watchlist.index import Watchlist

__all__ = ["Watchlist", "read_header"]
