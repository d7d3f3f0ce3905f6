"""What a desk does, on the page as on a terminal: a route or a command reads its arguments, calls this and shows the rest.

    work      the line of each incident by which the queue finds and orders it, brought up to date from the facts
    queue     tabs, filters and order; a page of rows
    cases     assign, due, acknowledge, resolve, false positive, takedown, link, detach; of one incident or of several
    returns   what brings a false positive back, and carries out a detachment: alert's part
    letter    the text of a takedown
    people    the customers in an incident, filtered and as a file of handles
    command   `ullage incidents acknowledge`, `assign` and so on

All that is decided is a `Decision`, only ever appended, and in the audit log first.
"""
