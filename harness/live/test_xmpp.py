"""XMPP rooms on Debian's Prosody: every message once, whatever kills the collector, and no
blindness in silence.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.server import HOST
from harness.live.chats import Read, Talker, account, channel, collecting, status, until
from harness.servers.chats import Xmpp, prosody
from tests.crawlers.conftest import Station
from ullage.errors import UnavailableError

pytestmark = pytest.mark.live
GAP = 150
SECRET = "13800138000"


@pytest.fixture(scope="module")
def server() -> Iterator[Xmpp]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)  # it runs as a user of its own
        try:
            running = stack.enter_context(prosody(Path(folder)))
        except UnavailableError as error:
            pytest.skip(str(error))
        yield running


@pytest.fixture
def station(data: Path) -> Station:
    return Station(data)


@pytest.fixture
def seller(server: Xmpp) -> Talker:
    return Talker(server, f"seller{secrets.token_hex(3)}")


@pytest.fixture
def reader(server: Xmpp, station: Station) -> str:
    name = f"reader{secrets.token_hex(3)}"
    address, password = server.user(name)
    account(station, address, password, f"{HOST}:{server.port}", "plain")
    return name


def room_of(seller: Talker, station: Station, name: str, **options: str) -> str:
    address = f"{name}-{secrets.token_hex(3)}@rooms.localhost"
    seller.open(address, **options)
    channel(station, name, "xmpp", address)
    return address


def test_every_message_is_read_once_despite_kills_and_gaps(
    station: Station, seller: Talker, reader: str
) -> None:
    room, read = room_of(seller, station, "loans"), Read(station)
    texts_ = [f"before {number}" for number in range(20)]
    seller.say(room, texts_)
    with collecting(station, "xmpp"):
        read.wait(set(texts_))
    for round_ in range(2):
        missed = [f"missed {round_} {number:03}" for number in range(GAP)]
        seller.say(room, missed)
        with collecting(station, "xmpp"):
            live = [f"live {round_} {number} {SECRET}" for number in range(5)]
            seller.say(room, live)
            texts_ += missed + live
            read.wait(set(texts_))
    with collecting(station, "xmpp") as process:
        row_ = until(lambda: (row := status(station)["loans"])["state"] == "ok" and row, "it is ok")
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert sorted(read.texts()) == sorted(texts_)
    assert row_["messages"] == len(texts_)
    assert (row_["gaps"], row_["gaps_lost"], row_["reason"]) == (2, 0, None)
    assert {(captured.site, captured.author, captured.kind) for captured in read.captures} == {
        ("loans", "seller", "message")
    }
    written = b"".join(
        path.read_bytes()
        for path in station.data.rglob("*")
        if path.is_file() and "keys" not in path.parts
    )
    assert SECRET.encode() not in written
    assert SECRET not in log


def test_lost_login_ban_and_closed_room_are_states(
    station: Station, seller: Talker, reader: str, server: Xmpp
) -> None:
    banned, _ = room_of(seller, station, "banned"), room_of(seller, station, "stays")
    room_of(seller, station, "closed", membersonly="1")
    channel(station, "nowhere", "xmpp", "nowhere@elsewhere.localhost")
    with collecting(station, "xmpp"):
        row_ = until(
            lambda: (s := status(station))["banned"]["state"] == s["stays"]["state"] == "ok" and s,
            "two are read",
        )
        assert row_["closed"]["reason"] == "closed"
        assert row_["nowhere"]["reason"] in ("address", "service", "timeout")
        seller.affiliation(banned, f"{reader}@localhost", "outcast")
        until(lambda: status(station)["banned"]["reason"] == "banned", "the ban is said")
    server.remove(reader)
    with collecting(station, "xmpp"):
        until(lambda: status(station)["stays"]["reason"] == "login", "the lost login is said")
