"""A site is tried before it is crawled, and again when it went quiet: `ullage sites try`.

    fetch      a few pages, by the rules of a visit, within half a minute
    guess      what the pages of software that nobody knows look like: lists; `posts` and `next_page` the rest
    unknown    which of its links lead to boards and which to threads, by what is behind a few of them
    look       from the address to a list, to a thread, to its posts: what a visit would make of each
    proposal   the site's file, or the change to it, that follows from what was found
    report     what people read of it; what stood on the pages is masked

Nothing is captured, and nothing is remembered but the file that is written.
"""  # noqa: E501
