"""Mailboxes on a real Dovecot: every mail once, whatever kills the collector, and no blindness
in silence.
"""

import imaplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from deploy.local.server import HOST
from harness.live.chats import Read, account, channel, collecting, status, until
from harness.servers.chats import Imap, dovecot
from tests.crawlers.conftest import Station
from ullage.errors import UnavailableError

pytestmark = pytest.mark.live
GAP = 150
SECRET = "13800138000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imap]:
    try:
        with dovecot(tmp_path_factory.mktemp("dovecot")) as running:
            yield running
    except UnavailableError as error:
        pytest.skip(str(error))


class Postman:
    """Puts mails into one user's mailboxes, and takes them away."""

    def __init__(self, server: Imap, name: str) -> None:
        self.server, self.name, self.password = server, name, server.user(name)

    def act(self, box: str, act: Any) -> None:
        with imaplib.IMAP4(HOST, self.server.port, timeout=20) as client:
            client.login(self.name, self.password)
            assert client.select(box)[0] == "OK"
            act(client)

    def put(self, texts: list[str], box: str = "INBOX") -> None:
        def each(client: imaplib.IMAP4) -> None:
            for text in texts:
                mail = EmailMessage()
                mail["From"], mail["Subject"], mail["Message-ID"] = (
                    "seller@example.org",
                    "内料",
                    f"<{text.encode().hex()}@example.org>",
                )
                mail.set_content(text)
                assert client.append(box, None, None, mail.as_bytes())[0] == "OK"

        self.act(box, each)

    def empty(self, box: str = "INBOX") -> None:
        self.act(box, lambda client: (client.store("1:*", "+FLAGS", "\\Deleted"), client.expunge()))


@pytest.fixture
def postman(server: Imap, data: Path, request: pytest.FixtureRequest) -> Postman:
    reader_postman = Postman(server, f"reader{abs(hash(request.node.name))}")
    account(
        Station(data),
        f"{HOST}:{server.port}",
        reader_postman.name,
        reader_postman.password,
        "plain",
    )
    return reader_postman


@pytest.fixture
def station(data: Path) -> Station:
    return Station(data)


def test_every_mail_is_read_once_despite_kills_and_gaps(station: Station, postman: Postman) -> None:
    read = Read(station)
    channel(station, "abuse-box", "imap", "INBOX", access="own")
    texts_ = [f"before {number}" for number in range(20)]
    postman.put(texts_)
    with collecting(station, "imap"):
        read.wait({f"{text}\r\n" for text in texts_})
    for round_ in range(2):
        missed = [f"missed {round_} {number:03}" for number in range(GAP)]
        postman.put(missed)
        texts_ += missed
        with collecting(station, "imap"):
            read.wait({f"{text}\r\n" for text in texts_})  # and then it is killed
    with collecting(station, "imap"):
        row_ = until(
            lambda: (row := status(station)["abuse-box"])["state"] == "ok" and row, "it is ok again"
        )
    assert sorted(read.texts()) == sorted(f"{text}\r\n" for text in texts_)
    assert (row_["messages"], row_["gaps_lost"], row_["reason"]) == (len(texts_), 0, None)
    postman.act("INBOX", lambda client: unseen(client, len(texts_)))


def unseen(client: imaplib.IMAP4, count: int) -> None:
    """Nobody can tell from the mailbox that it was read."""
    assert len(client.search(None, "UNSEEN")[1][0].split()) == count


def test_mail_deleted_unread_and_a_lost_login_are_reported(
    station: Station, postman: Postman
) -> None:
    channel(station, "abuse-box", "imap", "INBOX", access="own")
    channel(station, "nowhere", "imap", "Nowhere", access="own")
    postman.put(["first", f"内料 {SECRET}"])
    with collecting(station, "imap"):
        until(
            lambda: (
                (s := status(station))["abuse-box"]["messages"] == 2
                and s["nowhere"]["reason"] == "address"
            ),
            "it is read",
        )
    postman.put(["gone at once"])
    postman.empty()
    with collecting(station, "imap") as process:
        row_ = until(
            lambda: (
                (row := status(station)["abuse-box"])["gaps_lost"] == 1 and row["reason"] and row
            ),
            "it is said",
        )
        assert (row_["state"], row_["reason"]) == ("incomplete", "gap")
        process.terminate()
        process.communicate(timeout=30)
    postman.server.remove(postman.name)
    with collecting(station, "imap"):
        until(lambda: status(station)["nowhere"]["reason"] == "login", "the lost login is said")
    written = b"".join(
        path.read_bytes()
        for path in station.data.rglob("*")
        if path.is_file() and "keys" not in path.parts
    )
    assert SECRET.encode() not in written
