"""How each role of a night is begun: the product's own commands, in processes of the night."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from alerts.service.process import run_alert
from crawlers.cli import crawl
from crawlers.intake.feed import IntakeWriter
from crawlers.intake.submission import CaptureLine
from harness.simulate.faults import Faults
from harness.simulate.parts import AppendCounter, SimulatedContext
from harness.simulate.process import Process
from harness.simulate.sites import Post
from matcher.cli.match import match
from ullage.settings import Context


class Roles:
    """The mains of the roles over one data folder."""

    def __init__(self, context: Context, faults: Faults, said: dict[str, list[Post]]) -> None:
        self._context, self._faults, self._said = context, faults, said
        self._appended = AppendCounter()
        self.offsets = self._appended.offsets
        self.taken: set[str] = set()
        """Messages of chats that were acknowledged to who hands them in."""

    def mains(self) -> dict[str, Callable[[Process], object]]:
        """Return by role the program that runs it."""
        return {
            "crawl": self._crawl,
            "chats": self._chats,
            "match": self._match,
            "alert": self._alert,
        }

    def post(self, chat: str, post: Post) -> None:
        """Let a chat show one more message from its time on."""
        self._said[chat].append(post)

    def _own(self, process: Process) -> SimulatedContext:
        return SimulatedContext(self._context, process, self._faults, self._appended)

    def _ctx(self, process: Process) -> Any:
        return SimpleNamespace(obj=self._own(process))

    def _crawl(self, process: Process) -> None:
        crawl(self._ctx(process))

    def _match(self, process: Process) -> None:
        match(self._ctx(process))

    def _alert(self, process: Process) -> None:
        run_alert(self._own(process), once=False)

    def _chats(self, process: Process) -> None:
        """Whoever hands messages in keeps each until it was told that it is durable, as a
        collector does.
        """
        timeline = self._faults.timeline
        feed, put = IntakeWriter.of(self._own(process), process.stop), 0
        while not process.stop.is_set():
            due = [
                (chat, post)
                for chat, posts in self._said.items()
                for post in posts
                if post.at <= timeline.now and post.id not in self.taken
            ]
            for chat, post in due:
                feed.put(captures := feed.captures(self._line(chat, post)))
                put += len(captures)
            feed.flush()
            self.taken |= {post.id for _, post in due}
            if self._appended.by[process.life] < put:
                self._faults.broken.setdefault(
                    "acknowledged", "chats acknowledged what was not appended to the bus"
                )
            self._faults.after(process, "acknowledge")
            process.stop.wait(20.0)
        feed.end()

    def _line(self, chat: str, post: Post) -> CaptureLine:
        said_at = datetime.fromtimestamp(self._faults.clock.began + post.at, UTC)
        return CaptureLine(
            site=chat,
            text=post.text,
            author=post.author,
            channel=f"#{chat}",
            message_id=post.id,
            published_at=said_at,
        )
