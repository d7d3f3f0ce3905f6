"""Telegram without a server: a stub of Telethon's client plays recorded channels and updates, in
Telethon's own types.
"""

import asyncio
from datetime import UTC, datetime

import pytest

telethon = pytest.importorskip("telethon")
from telethon import errors, events  # noqa: E402
from telethon.tl import types  # noqa: E402

from crawlers.collectors import telegram  # noqa: E402
from crawlers.collectors.channel import ChatChannel  # noqa: E402
from crawlers.collectors.session import BlindError  # noqa: E402
from crawlers.collectors.telegram import TelegramSession, bare_id, client_of  # noqa: E402
from ullage.errors import ConfigError  # noqa: E402

WHEN = datetime(2026, 9, 1, 12, tzinfo=UTC)
CHAT = 1234567890


def make_message(number: int, text: str = "", **more: object) -> types.Message:
    peer = types.PeerChannel(CHAT)
    fields = {
        "id": number,
        "peer_id": peer,
        "date": WHEN,
        "message": text or f"text {number}",
        "out": False,
    }
    return types.Message(**fields, from_id=types.PeerUser(77), **more)


def chat(**more: object) -> types.Channel:
    return types.Channel(CHAT, "t", types.ChatPhotoEmpty(), WHEN, **more)


def channel(name: str = "loans", **more: object) -> ChatChannel:
    fields = {
        "service": "telegram",
        "address": f"@{name}",
        "account": "reader",
        "access": "public",
        "legal_basis": "t",
        "owner": "t",
    }
    return ChatChannel.model_validate({"name": name, **fields, "expires": "2099-01-01", **more})


class Stub:
    """The client's methods that are used, over messages by number.

    `hidden` are left out of lists and there by number.
    """

    def __init__(self) -> None:
        self.messages: dict[int, types.Message] = {}
        self.hidden: set[int] = set()
        self.files: dict[int, bytes | Exception | None] = {}
        self.authorized, self.fails, self.handlers, self.asked = True, None, [], []
        self.entity = types.Channel(CHAT, "内料", types.ChatPhotoEmpty(), WHEN, username="loans")

    async def connect(self) -> None: ...
    async def disconnect(self) -> None: ...
    async def is_user_authorized(self) -> bool:
        return self.authorized

    def add_event_handler(self, handler, kind) -> None:
        self.handlers.append(handler)

    async def download_media(self, message, file) -> bytes | None:
        assert file is bytes
        content = self.files[message.id]
        if isinstance(content, Exception):
            raise content
        return content

    async def get_entity(self, address: str) -> types.Channel:
        if address != "@loans":
            raise errors.UsernameNotOccupiedError(None)
        return self.entity

    async def get_messages(self, entity, ids=None, min_id=0, limit=100, reverse=False):
        if self.fails:
            raise self.fails
        if ids is not None:
            self.asked.append(list(ids))
            return [self.messages.get(number) for number in ids]
        shown = sorted(
            number for number in self.messages if number > min_id and number not in self.hidden
        )
        return [self.messages[number] for number in (shown[:limit] if reverse else shown[-limit:])]


class Ledger(dict):
    def cursor(self, name: str) -> str:
        return self.get(name, "")


def run(
    stub: Stub,
    ledger: Ledger,
    channels=None,
    until=lambda batches: batches[-1].answered,
    monkeypatch=None,
) -> list:
    """Return the batches of a session up to the first for which `until` holds.

    The cursors are stored the way the runner stores them.
    """

    async def act() -> list:
        session = TelegramSession.__new__(TelegramSession)
        session.make = lambda *_: stub
        session.__init__(["1", "h", "s"], "reader", channels or {"loans": channel()}, ledger)
        batches = []
        async with asyncio.timeout(20):
            async for batch in session.batches():
                batches.append(batch)
                if batch.cursor:
                    ledger.update([batch.cursor])
                if until(batches):
                    break
        return batches

    return asyncio.run(act())


def texts(batches: list) -> list[str]:
    return [message.line.text for batch in batches for message in batch.messages]


@pytest.fixture
def stub() -> Stub:
    filled = Stub()
    filled.messages = {number: make_message(number) for number in range(1, 21)}
    return filled


def test_first_reading_takes_the_last_messages_and_the_next_only_new_ones(stub: Stub) -> None:
    ledger = Ledger()
    assert texts(run(stub, ledger, {"loans": channel(history=5)})) == [
        f"text {number}" for number in range(16, 21)
    ]
    assert ledger == {"telegram:loans": "20"}
    stub.messages[21] = make_message(21)
    assert texts(run(stub, ledger)) == ["text 21"]


def test_gap_is_reported_and_filled_from_history(stub: Stub) -> None:
    ledger = Ledger({"telegram:loans": "20"})
    stub.messages |= {number: make_message(number) for number in range(21, 271)}
    batches = run(stub, ledger)
    assert texts(batches) == [f"text {number}" for number in range(21, 271)]
    assert [batch.gap for batch in batches if batch.gap] == ["seen", "filled"]
    assert ledger["telegram:loans"] == "270"


def test_numbers_missing_from_a_list_are_requested(stub: Stub) -> None:
    stub.messages |= {number: make_message(number) for number in range(21, 31)}
    stub.hidden = {23, 24}
    del stub.messages[26]
    assert sorted(texts(run(stub, Ledger({"telegram:loans": "20"})))) == sorted(
        f"text {number}" for number in range(21, 31) if number != 26
    )
    assert stub.asked == [[23, 24, 26]]


def test_message_details_become_fields_of_its_line(stub: Stub) -> None:
    forward = types.MessageFwdHeader(date=WHEN, from_id=types.PeerChannel(99))
    reply = types.MessageReplyHeader(reply_to_msg_id=5, reply_to_top_id=3)
    stub.messages = {21: make_message(21, "内料", fwd_from=forward, reply_to=reply, edit_date=WHEN)}
    [message] = [
        entry for batch in run(stub, Ledger({"telegram:loans": "20"})) for entry in batch.messages
    ]
    line = message.line
    assert (line.site, line.channel, line.message_id, line.author) == (
        "loans",
        "@loans",
        "21",
        "77",
    )
    assert (line.reply_to, line.thread, line.forwarded_from, line.edited) == ("5", "3", "99", True)
    assert (line.published_at, line.url) == (WHEN, "https://t.me/loans/21")
    assert message.event == f"21/{int(WHEN.timestamp())}"


def test_edits_and_deletions_are_captured_as_they_arrive(stub: Stub) -> None:
    async def act() -> list:
        session = TelegramSession.__new__(TelegramSession)
        session.make = lambda *_: stub
        session.__init__(
            ["1", "h", "s"], "reader", {"loans": channel()}, Ledger({"telegram:loans": "20"})
        )
        messages, batches = [], session.batches()
        while not (messages and messages[-1].answered):
            messages.append(await anext(batches))
        await session._came(events.MessageEdited.Event(make_message(7, "edited", edit_date=WHEN)))
        await session._came(events.MessageDeleted.Event([8], types.PeerChannel(CHAT)))
        return [await anext(batches), await anext(batches)]

    edited, deleted = (batch.messages[0].line for batch in asyncio.run(act()))
    assert (edited.message_id, edited.text, edited.edited) == ("7", "edited", True)
    assert (deleted.message_id, deleted.text, deleted.deleted) == ("8", "", True)


def file(number: int, size: int) -> types.Message:
    fields = {
        "id": number,
        "access_hash": 1,
        "file_reference": b"",
        "date": WHEN,
        "mime_type": "text/csv",
        "dc_id": 1,
    }
    named = [types.DocumentAttributeFilename(f"{number}.csv")]
    return make_message(
        number,
        media=types.MessageMediaDocument(
            document=types.Document(**fields, size=size, attributes=named)
        ),
    )


def test_file_is_read_with_its_message_or_reported_as_unread(stub: Stub) -> None:
    stub.messages |= {
        21: file(21, 3),
        22: file(22, 25 * 2**20),
        23: file(23, 3),
        24: file(24, 3),
        25: make_message(25),
    }
    stub.files = {21: b"csv", 23: errors.FileReferenceExpiredError(None), 24: None}
    messages = [
        message
        for batch in run(stub, Ledger({"telegram:loans": "20"}))
        for message in batch.messages
    ]
    assert [(message.line.message_id, message.unread) for message in messages] == [
        ("21", ()), ("22", ("too_large",)), ("23", ("failed",)), ("24", ("failed",)), ("25", ()),
    ]  # fmt: skip
    assert messages[0].line.attachments[0].body() == b"csv"
    assert messages[1].line.attachments == ("22.csv",)


def test_account_error_is_not_attributed_to_a_file(stub: Stub) -> None:
    stub.messages |= {21: file(21, 3)}
    stub.files = {21: errors.FloodWaitError(None, 400)}
    with pytest.raises(BlindError) as caught:
        run(stub, Ledger({"telegram:loans": "20"}))
    assert caught.value.reason == "flood"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"authorized": False}, "login"),
        ({"fails": errors.AuthKeyUnregisteredError(None)}, "login"),
        ({"fails": errors.UserDeactivatedBanError(None)}, "login"),
        ({"fails": errors.FloodWaitError(None, 400)}, "flood"),
        ({"fails": errors.ServerError(None, "INTERDC_CALL_ERROR")}, "service"),
        ({"fails": ConnectionError()}, "unreachable"),
    ],
)
def test_rejected_session_has_a_reason(stub: Stub, change: dict[str, object], reason: str) -> None:
    for name, value in change.items():
        setattr(stub, name, value)
    with pytest.raises(BlindError) as caught:
        run(stub, Ledger())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("nowhere", {}, "address"),
        ("loans", {"fails": errors.ChannelPrivateError(None)}, "closed"),
        ("loans", {"fails": errors.UserBannedInChannelError(None)}, "banned"),
        ("loans", {"entity": chat()}, "closed"),
        ("loans", {"entity": chat(username="loans", join_request=True)}, "closed"),
    ],
)
def test_channel_that_is_not_open_is_not_read(
    stub: Stub, name: str, change: dict[str, object], reason: str
) -> None:
    for field, value in change.items():
        setattr(stub, field, value)
    session_batches = run(stub, Ledger(), {name: channel(name)}, lambda batches: batches[-1].blind)
    assert [(batch.channel, batch.blind) for batch in session_batches] == [(name, reason)]


def test_account_secret_is_validated_and_not_shown() -> None:
    for secret in (["1", "h"], ["x", "h", "s"], ["1", "h", "no session 13800138000"]):
        with pytest.raises(ConfigError, match="secret collect/reader") as caught:
            client_of(secret, "reader")
        assert "13800138000" not in str(caught.value)


def test_marked_channel_number_becomes_its_id() -> None:
    assert (bare_id(-1001234567890), bare_id(77), bare_id(-77)) == (1234567890, 77, 77)
    assert telegram.PAGE == 100
