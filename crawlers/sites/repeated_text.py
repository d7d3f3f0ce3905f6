"""Notice that a site shows one text in place of all posts, such as "You must log in".

A seller posts the same offer in many threads, and a member may sign with one word; but no text is
written by everybody in every thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crawlers.sites.pages import Post

LEAST_THREADS, LEAST_AUTHORS = 3, 2


@dataclass(slots=True)
class RepeatedText:
    """A count, by hash, of the texts in the posts of one visit; no text is kept."""

    authors: set[str] = field(default_factory=set)
    """All authors of new posts."""
    by_text: dict[int, tuple[set[str], set[str]]] = field(default_factory=dict)
    """By the hash of a text, the threads of the new posts that have it, and their authors."""
    read: set[int] = field(default_factory=set)
    """Hashes of the texts of all posts that were read, including known posts."""

    def note_read(self, post: Post) -> None:
        """Record a post that was read, known or not."""
        if post.kind == "post" and post.thread:
            self.read.add(_hash(post))

    def note_new(self, post: Post) -> None:
        """Count a new or edited post by its text, with its thread and author.

        Anything but a post in a thread is ignored.
        """
        if post.kind == "post" and post.thread:
            self.authors.add(post.author)
            threads, authors = self.by_text.setdefault(_hash(post), (set(), set()))
            threads.add(post.thread)
            authors.add(post.author)

    @property
    def stands_for_posts(self) -> bool:
        """Return whether all authors wrote one text, in three threads or more."""
        return len(self.authors - {""}) >= LEAST_AUTHORS and any(
            len(threads) >= LEAST_THREADS and authors == self.authors
            for threads, authors in self.by_text.values()
        )

    @property
    def is_all_there_is(self) -> bool:
        """Return whether all posts that were read have the same text."""
        return len(self.read) == 1


def _hash(post: Post) -> int:
    return hash(post.wording or post.body)
