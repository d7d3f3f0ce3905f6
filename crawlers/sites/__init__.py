"""Describe sites: their files, the pages of their software, and the state that their answers show.

    site            the site's file in `sites.d/`
    presets         site software as data, how it is recognised, and samples of its pages
    layout          the options that describe lists, threads and posts
    selectors       CSS, XPath and JMESPath
    dates           dates as site programs write them
    elements        elements of a page, and elements nested in one another
    nesting         HTML that is nested more deeply than libxml2 reads
    page_reader     reads a page by its layout
    pages           the posts and links that a platform finds on a page
    next_pages      the next page of a list or thread, by its number
    further_pages   notices that a page shows a further one
    attachments     which attached files are read
    completeness    compares what was read with what a page states
    repeated_text   notices one text in place of all posts
    visit_verdict   the state of a site, from the pages of one visit
    posting_rhythm  how long a silence has to be before it is unusual
    status_table    `ullage sites` for people

Apart from reading files, these modules fetch and store nothing.
"""
