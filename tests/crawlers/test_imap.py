"""Mailboxes without a server: how far one was read, what was deleted unread, and a mailbox that
was made anew.
"""

import asyncio
from email.message import EmailMessage

import pytest

from crawlers.collectors import imap
from crawlers.collectors.channel import ChatChannel
from crawlers.collectors.imap import PAGE, ImapSession, MailboxPosition, pages, read
from crawlers.collectors.session import BlindError, DeliveryBatch
from crawlers.intake import mail_export
from ullage.errors import ConfigError

SECRET = ["127.0.0.1:1143", "reader", "password", "plain"]


def channel(**more: object) -> ChatChannel:
    fields = {
        "service": "imap",
        "address": "INBOX",
        "account": "reader",
        "access": "own",
        "legal_basis": "t",
        "owner": "t",
    }
    return ChatChannel.model_validate({"name": "box", **fields, "expires": "2099-01-01", **more})


def mail(text: str, **heads: str) -> bytes:
    message = EmailMessage()
    for name, value in heads.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


class Box:
    """A mailbox: messages by number. `vanishing` are gone when they are fetched."""

    def __init__(self) -> None:
        self.validity, self.mails, self.last, self.vanishing = 7, dict[int, bytes](), 0, set[int]()

    def put(self, count: int) -> None:
        for number in range(self.last + 1, self.last + count + 1):
            self.mails[number] = mail(f"text {number}")
        self.last += count

    def open(self) -> None: ...
    def close(self) -> None: ...

    def select(self, mailbox: str) -> MailboxPosition | None:
        return MailboxPosition(self.validity, self.last) if mailbox == "INBOX" else None

    def sizes(self, first: int, last: int) -> list[tuple[int, int]]:
        return [(uid, len(self.mails[uid])) for uid in sorted(self.mails) if first <= uid <= last]

    def fetch(self, uids: list[int]) -> list[tuple[int, bytes]]:
        return [(uid, self.mails[uid]) for uid in uids if uid not in self.vanishing]


class Ledger(dict):
    def cursor(self, name: str) -> str:
        return self.get(name, "")


def run(box: Box, ledger: Ledger, channel_: ChatChannel | None = None) -> list[DeliveryBatch]:
    """Return the batches of one session."""

    async def act() -> list[DeliveryBatch]:
        session = ImapSession(SECRET, "reader", {"box": channel_ or channel()}, ledger)
        session._box = box
        batches = []
        async for batch in session.batches():
            batches.append(batch)
            if batch.cursor:
                ledger.update([batch.cursor])
            if batch.answered or batch.blind:
                break
        return batches

    return asyncio.run(act())


def texts(batches: list[DeliveryBatch]) -> list[str]:
    return [message.line.text.strip() for batch in batches for message in batch.messages]


def gaps(batches: list[DeliveryBatch]) -> list[str]:
    return [batch.gap for batch in batches if batch.gap]


def test_first_reading_takes_the_last_mails_and_the_next_only_new_ones() -> None:
    box, ledger = Box(), Ledger()
    box.put(20)
    assert texts(run(box, ledger, channel(history=5))) == [
        f"text {number}" for number in range(16, 21)
    ]
    assert ledger == {"imap:box": "7:20"}
    box.put(PAGE + 10)
    batches = run(box, ledger)
    assert texts(batches) == [f"text {number}" for number in range(21, 31 + PAGE)]
    assert (gaps(batches), ledger) == ([], {"imap:box": f"7:{30 + PAGE}"})
    assert texts(run(box, ledger)) == []


def test_no_history_is_read_if_none_is_requested() -> None:
    box, ledger = Box(), Ledger()
    box.put(3)
    assert texts(run(box, ledger, channel(history=0))) == []
    box.put(1)
    assert texts(run(box, ledger)) == ["text 4"]


@pytest.mark.parametrize("moment", ["before listing", "before fetching"])
def test_mail_deleted_unread_is_reported_as_lost(moment: str) -> None:
    box, ledger = Box(), Ledger({"imap:box": "7:2"})
    box.put(5)
    if moment == "before listing":
        del box.mails[4]
    else:
        box.vanishing = {4}
    batches = run(box, ledger)
    assert (texts(batches), gaps(batches)) == (["text 3", "text 5"], ["lost"])
    assert ledger == {"imap:box": "7:5"}
    assert gaps(run(box, ledger)) == [], "it is said once"


def test_mail_too_large_for_a_line_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box()
    box.put(3)
    read_mail = mail_export.read_mail

    def read_oversized(content: bytes, folder: str) -> dict[str, object]:
        message = read_mail(content, folder)
        return {**message, "author": "x" * 9000} if "text 2" in str(message["text"]) else message

    monkeypatch.setattr(imap, "read_mail", read_oversized)
    batches = run(box, Ledger())
    assert texts(batches) == ["text 1", "text 3"]
    assert sum(batch.refused for batch in batches) == 1


def test_recreated_mailbox_is_read_again() -> None:
    box, ledger = Box(), Ledger({"imap:box": "6:900"})
    box.put(3)
    batches = run(box, ledger)
    assert (texts(batches), gaps(batches), ledger) == (
        ["text 1", "text 2", "text 3"],
        ["seen", "filled"],
        {"imap:box": "7:3"},
    )


def test_missing_mailbox_is_reported() -> None:
    assert [batch.blind for batch in run(Box(), Ledger(), channel(address="Nowhere"))] == [
        "address"
    ]


@pytest.mark.parametrize(
    ("error", "reason"), [(OSError(), "unreachable"), (imap.imaplib.IMAP4.error(), "service")]
)
def test_broken_session_has_a_reason(error: Exception, reason: str) -> None:
    box = Box()

    def broken(_: str) -> None:
        raise error

    box.select = broken
    with pytest.raises(BlindError) as caught:
        run(box, Ledger())
    assert caught.value.reason == reason


def test_pages_are_limited_by_count_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "PAGE_BYTES", 100)
    assert [
        [uid for uid, _ in page] for page in pages([(1, 60), (2, 60), (3, 500), (4, 10), (5, 10)])
    ] == [[1], [2], [3], [4, 5]]
    assert [len(page) for page in pages([(uid, 1) for uid in range(PAGE + 1)])] == [PAGE, 1]


def test_every_mail_becomes_a_line_with_its_headers() -> None:
    heads = {
        "From": "seller@example.org",
        "Subject": "内料",
        "Message_ID": "<1@x>",
        "In_Reply_To": "<0@x>",
    }
    [message] = read(channel(), "7/1", mail("一手", **heads))
    line = message.line
    assert (line.site, line.channel, line.message_id, line.reply_to) == (
        "box",
        "INBOX",
        "<1@x>",
        "<0@x>",
    )
    assert (line.author, line.title, line.text.strip(), message.event) == (
        "seller@example.org",
        "内料",
        "一手",
        "7/1",
    )
    for hostile in (
        b"\xff\x00 no mail at all",
        b"Subject: \xff\xfe\nFrom: \xe4 <\xff>\n\n\xff",
        b"",
    ):
        assert len(list(read(channel(), "7/2", hostile))) == 1


def test_message_ids_are_read_before_or_after_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = imap._Box("127.0.0.1", 1, "u", "p", plain=True)
    responses = [
        (b"1 (UID 5 BODY[]<0> {2}", b"a\n"),
        b")",
        (b"2 (BODY[]<0> {2}", b"b\n"),
        b" UID 6)",
        b"3 (FLAGS ())",
    ]
    box._client = type("Client", (), {"uid": lambda *_: ("OK", responses)})()
    assert box.fetch([5, 6]) == [(5, b"a\n"), (6, b"b\n")]


def test_account_secret_is_validated_and_not_shown() -> None:
    for secret in (
        SECRET[:2],
        ["x", "u", "13800138000"],
        ["mail.example.org:143", "u", "13800138000", "plain"],
        [*SECRET, "x"],
    ):
        with pytest.raises(ConfigError, match="secret collect/reader") as caught:
            ImapSession(secret, "reader", {}, Ledger())
        assert "13800138000" not in str(caught.value)


def test_own_access_is_valid_only_for_a_mailbox() -> None:
    with pytest.raises(ValueError, match="access: own is valid only for a mailbox"):
        channel(service="xmpp")
