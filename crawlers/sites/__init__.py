"""What is known of a site: its file, the pages of its software, and what state its answers mean.

    site            the site's file in `sites.d/`
    presets         site software as data, how it is recognised, and its samples
    layout          what such data says of lists, threads and posts
    selecting       its selectors: CSS, XPath, JMESPath
    dates           moments as site programs write them
    nesting         HTML that nests more deeply than libxml2 reads
    reading         a page, read by a layout
    pages           what a platform says about a page
    content_type    what a response declares about its bytes
    page_verdict    the state of a site, from what came of the pages of one visit
    silence_model   how long a silence has to be before it says something
    night           times of day at which a site is left alone
    reasons         why a site could not be seen, as words of a closed list
    table           `ullage sites` for people

Pure but for reading the file: nothing here fetches or remembers.
"""
