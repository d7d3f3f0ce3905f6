"""What one shift leaves to the next, on the page as on a terminal.

    shift    what is new, undecided, due and nobody's, and where we were blind meanwhile
    command  `ullage incidents handover`

It reads the desk's queue beside the ledger of coverage, and decides nothing.
"""
