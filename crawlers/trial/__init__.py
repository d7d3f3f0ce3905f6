"""Probe a site before it is crawled, or after it went quiet: `ullage sites try`.

    answer      what a request returned, and whether a script fills the page
    fetch       a few requests by the rules of a visit, within half a minute
    guess       options for pages of unknown software: lists, posts and next pages
    unknown     which links lead to boards, threads and archives, by what is behind a few of them
    checks      whether guessed options read everything that a few pages show, and only posts
    look        from the address to a list, to a thread, to its posts
    proposal    the site's file, or the change to it, that follows from the results
    report      the results for people; text from the pages is masked

No post is captured, and nothing is stored but the file that is written.
"""
