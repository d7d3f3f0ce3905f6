"""What people are shown: text that is safe on a terminal, a page or in a spreadsheet, and what to do next.

    render        untrusted text and times, for terminal and page
    screen        tables and JSON Lines on a terminal
    spreadsheet   cells that no spreadsheet takes for a formula
    next_step     what to do next, in one line

Everything that came from outside is untrusted here.
"""
