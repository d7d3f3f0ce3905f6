"""What stands on a site that is written here in a program's shape: threads with posts and their
moments, as its lists order them.

How a program writes a moment is a function of the moment and of the one at which it answers: `Today
at 04:02:00 PM`, 昨天 16:02.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from harness.reach.planted import MOVED_TITLE, PINNED_TITLE, Threads

Written = Callable[[datetime, datetime], str]
"""How a moment stands on a page that is answered at another."""
CHINA = ZoneInfo("Asia/Shanghai")
AUTHORS = ("li", "wang", "zhao")


@dataclass(frozen=True, slots=True)
class Post:
    """One post; `place` counts from 0 within its thread."""

    id: int
    place: int
    text: str
    author: str
    at: datetime


@dataclass(slots=True)
class Thread:
    """One thread, or on a paste site the pastes of one title."""

    id: int
    title: str
    posts: list[Post] = field(default_factory=list)

    @property
    def last(self) -> Post:
        """The newest post."""
        return self.posts[-1]

    @property
    def pinned(self) -> bool:
        """Whether it stands before all others."""
        return self.title == PINNED_TITLE

    @property
    def moved(self) -> bool:
        """Whether its entry says that it was moved, and leads to where it is now."""
        return self.title == MOVED_TITLE


@dataclass(slots=True)
class Content:
    """All threads. At every answer they have been looked at once more often, which must not
    matter.
    """

    started: datetime = field(
        default_factory=lambda: datetime.now(UTC).replace(second=0, microsecond=0)
    )
    threads: dict[str, Thread] = field(default_factory=dict)
    views: int = 0
    _written: int = 0

    def write(self, threads: Threads) -> None:
        """Write threads at the times at which they would have been written.

        The long thread continued until now; the others ended hours and days ago.
        """
        for number, (title, texts) in enumerate(threads):
            end = self.started - timedelta(hours=7 * number)
            self._write(title, texts, end, timedelta(minutes=7))

    def reply(self, threads: Threads) -> None:
        """Just now."""
        for title, texts in threads:
            self._write(
                title, texts, datetime.now(UTC).replace(second=0, microsecond=0), timedelta()
            )

    def back_date(self, threads: Threads) -> None:
        """Put threads up that seem to be of two months ago: they stand at the end of the lists."""
        for title, texts in threads:
            self._write(title, texts, self.started - timedelta(days=60), timedelta(minutes=1))

    def listed(self) -> list[Thread]:
        """List threads as a board does: pinned ones first, then by their last post."""
        self.views += 1
        return sorted(
            self.threads.values(),
            key=lambda thread: (not thread.pinned, -thread.last.at.timestamp(), thread.id),
        )

    def posts(self) -> Iterator[Post]:
        """Return every post, the newest first."""
        all_posts = [post for thread in self.threads.values() for post in thread.posts]
        yield from sorted(all_posts, key=lambda post: (-post.at.timestamp(), -post.id))

    def thread_of(self, post: Post) -> Thread:
        """Return the thread of a post."""
        return next(thread for thread in self.threads.values() if post in thread.posts)

    def _write(self, title: str, texts: Sequence[str], end: datetime, step: timedelta) -> None:
        thread = self.threads.setdefault(title, Thread(7 + len(self.threads), title))
        for place, text in enumerate(texts):
            self._written += 1
            at = end - step * (len(texts) - 1 - place)
            author = AUTHORS[self._written % len(AUTHORS)]
            thread.posts.append(Post(3000 + self._written, len(thread.posts), text, author, at))


def iso(at: datetime, _: datetime) -> str:
    """`2026-11-24T16:02:00+00:00`."""
    return at.isoformat()


def iso_basic(at: datetime, _: datetime) -> str:
    """`2026-11-24T16:02:00+0000`, as XenForo 2 has it."""
    return f"{at:%Y-%m-%dT%H:%M:%S%z}"


def format_named_days(old: str, today: str, yesterday: str) -> Written:
    """Return a format that names the last two days, and uses `old` before.

    Each is a format of `strftime`.
    """

    def written(at: datetime, now: datetime) -> str:
        days = (now.date() - at.date()).days
        return at.strftime({0: today, 1: yesterday}.get(days, old))

    return written


american = format_named_days("%m-%d-%Y, %I:%M %p", "Today, %I:%M %p", "Yesterday, %I:%M %p")
smf = format_named_days(
    "%B %d, %Y, %I:%M:%S %p", "Today at %I:%M:%S %p", "Yesterday at %I:%M:%S %p"
)


def mybb(at: datetime, now: datetime) -> str:
    """Return the last hour in minutes, then named days with the date as a title."""
    if now - at < timedelta(hours=1):
        minutes = max(1, int((now - at).total_seconds() // 60))
        text = f"{minutes} minute{'s' * (minutes > 1)} ago"
        return f'<span title="{at:%m-%d-%Y, %I:%M %p}">{text}</span>'
    return format_named_days(
        "%m-%d-%Y, %I:%M %p",
        '<span title="%m-%d-%Y">Today</span>, %I:%M %p',
        '<span title="%m-%d-%Y">Yesterday</span>, %I:%M %p',
    )(at, now)


def discuz(at: datetime, now: datetime) -> str:
    """Return a moment in China's time, the last week in words with the date as a title."""
    local, days = (
        at.astimezone(CHINA),
        (now.astimezone(CHINA).date() - at.astimezone(CHINA).date()).days,
    )
    exact = f"{local.year}-{local.month}-{local.day} {local:%H:%M}"
    minutes = max(1, int((now - at).total_seconds() // 60))
    if days > 6:
        return exact
    if days == 0:
        words = f"{minutes}&nbsp;分钟前" if minutes < 60 else f"{minutes // 60}&nbsp;小时前"
    else:
        words = {1: f"昨天&nbsp;{local:%H:%M}", 2: f"前天&nbsp;{local:%H:%M}"}.get(
            days, f"{days}&nbsp;天前"
        )
    return f'<span title="{exact}">{words}</span>'


def xiuno(at: datetime, _: datetime) -> str:
    """Return a moment in China's time, as `2026-11-24 16:02`."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"


def trac(at: datetime, _: datetime) -> str:
    """Return a link to the timeline that has the moment in its address, and a person's words as
    its text.
    """
    seconds = quote(f"{at:%Y-%m-%dT%H:%M:%SZ}", safe="")
    return (
        f'<a class="timeline" href="/timeline?from={seconds}&amp;precision=second" title="See'
        ' timeline">some time ago</a>'
    )


def xenforo1(at: datetime, now: datetime) -> str:
    """Return a moment: of the last week with its seconds as data, before that only a title."""
    if now - at < timedelta(days=7):
        return (
            f'<abbr class="DateTime" data-time="{at.timestamp():.0f}" data-diff="1">{at:%A} at'
            f" {at:%I:%M %p}</abbr>"
        )
    return (
        f'<span class="DateTime" title="{at:%b} {at.day}, {at.year} at {at:%I:%M %p}">{at:%b}'
        f" {at.day}, {at.year}</span>"
    )


def ago(at: datetime, now: datetime) -> str:
    """`5 min ago`, `2 hours ago`, `3 days ago`, `2 months ago`."""
    seconds = max(1, (now - at).total_seconds())
    for name, size in (
        ("month", 30 * 86400),
        ("week", 7 * 86400),
        ("day", 86400),
        ("hour", 3600),
        ("min", 60),
        ("sec", 1),
    ):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' * (count > 1 and name not in {'min', 'sec'})} ago"
    raise AssertionError(seconds)
