"""Notice that a site shows one text in the place of all posts, such as "To see this content you
must log in".

A seller posts the same offer in many threads, and a member signs with one word; but nothing is said
by everybody in every thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crawlers.sites.pages import Post

LEAST_THREADS, LEAST_AUTHORS = 3, 2


@dataclass(slots=True)
class RepeatedText:
    """What the posts of one visit say, as far as it tells whether all say the same; holds no
    text, only its hash in memory.
    """

    authors: set[str] = field(default_factory=set)
    """All who wrote a new post."""
    by_text: dict[int, tuple[set[str], set[str]]] = field(default_factory=dict)
    """By the hash of a text, the threads in which new posts say it, and the authors of these."""
    read: set[int] = field(default_factory=set)
    """Hashes of the texts of all posts that were read, the known ones among them."""

    def note_read(self, post: Post) -> None:
        """A post was read, known or not."""
        if post.kind == "post" and post.thread:
            self.read.add(_hash(post))

    def note_new(self, post: Post) -> None:
        """A post that is new to us, or says something new, was captured."""
        if post.kind == "post" and post.thread:
            self.authors.add(post.author)
            threads, authors = self.by_text.setdefault(_hash(post), (set(), set()))
            threads.add(post.thread)
            authors.add(post.author)

    @property
    def stands_for_posts(self) -> bool:
        """Whether every author of new posts says the same, in three threads or more."""
        return len(self.authors - {""}) >= LEAST_AUTHORS and any(
            len(threads) >= LEAST_THREADS and authors == self.authors
            for threads, authors in self.by_text.values()
        )

    @property
    def is_all_there_is(self) -> bool:
        """Whether all posts that were read say the same."""
        return len(self.read) == 1


def _hash(post: Post) -> int:
    return hash(post.wording or post.body)
