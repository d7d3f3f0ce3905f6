"""Sites that are read through their JSON, in its documented shape.

Names, titles and texts are made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from harness.reach.content import Content, Thread
from harness.reach.shape import Head, Made, count_of, page_of

DISCOURSE_LISTED, DISCOURSE_POSTS = 10, 20
FLARUM_LISTED, FLARUM_POSTS = 10, 15


class Discourse(Head):
    """`/latest.json` in pages, a topic with its first posts and the numbers of all, the rest in
    pages of twenty.
    """

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Yield lists and topics."""
        for page in range(count_of([*content.threads], DISCOURSE_LISTED)):
            path = "/latest.json" + (f"?page={page}" if page else "")
            yield path, partial(self._list, content, page)
        for thread in content.threads.values():
            for page in range(1, count_of(thread.posts, DISCOURSE_POSTS) + 1):
                path = f"/t/{thread.id}.json" + (f"?page={page}" if page > 1 else "")
                yield path, partial(self._topic, thread, page)

    def _list(self, content: Content, page: int) -> object:
        listed = content.listed()
        topics = [
            {
                "id": t.id, "title": t.title, "fancy_title": t.title, "slug": "topic",
                "posts_count": len(t.posts),
                "reply_count": 0, "highest_post_number": len(t.posts),
                "created_at": _z(t.posts[0].at),
                "last_posted_at": _z(t.last.at), "bumped": True, "bumped_at": _z(t.last.at),
                "pinned": t.pinned,
                "views": content.views, "like_count": content.views, "category_id": 5,
                "excerpt": "x" if t.pinned else None,
            }
            for t in page_of(listed, page + 1, DISCOURSE_LISTED)
        ]  # fmt: skip
        more = {"more_topics_url": f"/latest?no_definitions=true&page={page + 1}"}
        is_last = page + 1 >= count_of(listed, DISCOURSE_LISTED)
        return {
            "users": [],
            "topic_list": {
                "per_page": DISCOURSE_LISTED,
                **({} if is_last else more),
                "topics": topics,
            },
        }

    def _topic(self, thread: Thread, page: int) -> object:
        posts = [
            {
                "id": p.id, "username": p.author, "created_at": _z(p.at), "updated_at": _z(p.at),
                "cooked": f"<p>{p.text}</p>",
                "post_number": p.place + 1, "post_type": 1, "reply_to_post_number": None,
                "topic_id": thread.id,
            }
            for p in page_of(thread.posts, page, DISCOURSE_POSTS)
        ]  # fmt: skip
        stream = {"stream": [p.id for p in thread.posts]} if page == 1 else {}
        count = {
            "posts_count": len(thread.posts),
            "id": thread.id,
            "title": thread.title,
            "views": 7,
        }
        return {"post_stream": {"posts": posts, **stream}, **count}


class Flarum(Head):
    """JSON:API: who wrote a post stands beside the posts, and a link leads to the next page."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Yield lists and discussions."""
        first = "/api/discussions?include=user&sort=-lastPostedAt&page[limit]=50"
        for page in range(count_of([*content.threads], FLARUM_LISTED)):
            following = f"{first}&page[offset]={FLARUM_LISTED * (page + 1)}"
            path = first if not page else f"{first}&page[offset]={FLARUM_LISTED * page}"
            yield path, partial(self._list, content, page, url + following)
        for thread in content.threads.values():
            first_posts = (
                f"/api/posts?filter[discussion]={thread.id}&include=user&sort=number&page[limit]=50"
            )
            for page in range(count_of(thread.posts, FLARUM_POSTS)):
                path = (
                    first_posts if not page else f"{first_posts}&page[offset]={FLARUM_POSTS * page}"
                )
                following = f"{url}{first_posts}&page[offset]={FLARUM_POSTS * (page + 1)}"
                yield path, partial(self._posts, thread, page, following)

    def _list(self, content: Content, page: int, following: str) -> object:
        listed = content.listed()
        data = [
            {
                "type": "discussions", "id": str(t.id),
                "attributes": {
                    "title": t.title, "slug": f"{t.id}-x", "commentCount": len(t.posts),
                    "participantCount": 3,
                    "createdAt": t.posts[0].at.isoformat(), "lastPostedAt": t.last.at.isoformat(),
                    "lastPostNumber": len(t.posts), "views": content.views, "isSticky": t.pinned,
                },
                "relationships": {"user": {"data": {"type": "users", "id": t.posts[0].author}}},
            }
            for t in page_of(listed, page + 1, FLARUM_LISTED)
        ]  # fmt: skip
        is_last = page + 1 >= count_of(listed, FLARUM_LISTED)
        return {"links": {} if is_last else {"next": following}, "data": data, "included": []}

    def _posts(self, thread: Thread, page: int, following: str) -> object:
        shown = page_of(thread.posts, page + 1, FLARUM_POSTS)
        data = [
            {
                "type": "posts", "id": str(p.id),
                "attributes": {
                    "number": p.place + 1, "createdAt": p.at.isoformat(), "contentType": "comment",
                    "contentHtml": f"<p>{p.text}</p>",
                },
                "relationships": {"user": {"data": {"type": "users", "id": p.author}}},
            }
            for p in shown
        ]  # fmt: skip
        renamed = {
            "type": "posts",
            "id": f"9{page}",
            "attributes": {"contentType": "discussionRenamed", "content": ["a", "b"]},
        }
        users = [
            {"type": "users", "id": name, "attributes": {"username": name}}
            for name in {p.author for p in shown}
        ]
        is_last = page + 1 >= count_of(thread.posts, FLARUM_POSTS)
        return {
            "links": {} if is_last else {"next": following},
            "data": [*data, renamed],
            "included": users,
        }


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


FEEDS = (Discourse("Discourse", "discourse", "3"), Flarum("Flarum", "flarum", "1"))
