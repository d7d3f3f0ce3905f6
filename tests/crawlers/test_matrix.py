"""What was said in a Matrix room before it was first read: page by page, and on from there when
the reader was killed.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import date

import pytest

from crawlers.collectors.channel import ChatChannel
from crawlers.collectors.matrix import PAGE, MatrixSession
from crawlers.collectors.session import DeliveryBatch
from deploy.local.matrix_room import FIRST, Room, Said, matrix_room

SAID = [
    Said("seller", f"text {number}", 1_790_000_000.0 + number)
    for number in range(2 * PAGE + PAGE // 2 + FIRST)
]


@dataclass
class SessionState:
    """What a runner keeps of a session: cursors, and messages by their ids."""

    cursors: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    history_starts: list[str] = field(default_factory=list)
    """Where the requested pages of history began."""

    def cursor(self, name: str) -> str:
        return self.cursors.get(name, "")

    def take(self, batch: DeliveryBatch) -> None:
        self.texts += [message.line.text for message in batch.messages]
        if batch.cursor:
            self.cursors |= [batch.cursor]

    async def read(self, room: Room, *, history: int, kill_after: int = 0) -> None:
        """Read until the service has nothing more, or until so many messages were taken."""
        channel = ChatChannel(
            name="loans", service="matrix", address=room.address, account="reader", access="open",
            legal_basis="test",
            owner="test", expires=date(2099, 1, 1), history=history,
        )  # fmt: skip
        session = MatrixSession(
            [room.url, "@reader:localhost", room.token], "reader", {"loans": channel}, self
        )
        ask = session._server.messages

        async def messages(
            room: str, start: str | None, end: str | None, most: int
        ) -> dict[str, object]:
            self.history_starts.append(str(start))
            return await ask(room, start, end, most)

        session._server.messages = messages
        try:
            async for batch in session.batches():
                if kill_after and len(self.texts) >= kill_after:
                    return
                self.take(batch)
                if batch.answered and not session._left:
                    return
        finally:
            await session.close()


@pytest.fixture(autouse=True)
def no_wait_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer at once that nothing new was written in the room."""
    monkeypatch.setattr("deploy.local.matrix_room.LONGEST_WAIT", 0.0)


@pytest.mark.parametrize("kill_after", [1, FIRST, FIRST + 1, FIRST + PAGE, FIRST + 2 * PAGE])
def test_interrupted_history_is_resumed(kill_after: int) -> None:
    state = SessionState()
    with matrix_room(SAID) as room:
        asyncio.run(state.read(room, history=10_000, kill_after=kill_after))
        before = len(state.texts)
        asyncio.run(state.read(room, history=10_000))
    assert set(state.texts) == {message.text for message in SAID}
    assert len(state.texts) - len(SAID) <= PAGE, "no more than a page is read twice"
    assert len(state.history_starts) - len(set(state.history_starts)) <= 1
    assert before < len(SAID)


def test_history_is_limited_and_read_once() -> None:
    state = SessionState()
    with matrix_room(SAID) as room:
        asyncio.run(state.read(room, history=PAGE))
        asyncio.run(state.read(room, history=PAGE))
    assert sorted(state.texts) == sorted(message.text for message in SAID[-(FIRST + PAGE) :])
    assert len(state.history_starts) == 1
