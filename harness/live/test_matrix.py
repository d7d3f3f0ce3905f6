"""Matrix rooms on a real Synapse: every message once, whatever kills the collector, and no
blindness in silence.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.live.chats import Poster, Read, account, channel, collecting, status, until
from harness.servers.chats import Matrix, ensure_synapse, synapse
from tests.crawlers.conftest import Station
from ullage.errors import UnavailableError

pytestmark = pytest.mark.live
ROOM = "#loans:localhost"
GAP = 150
SECRET = "13800138000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    try:
        python = ensure_synapse(Path(__file__).parents[2] / ".demo" / "synapse-venv")
    except UnavailableError as error:
        pytest.skip(str(error))
    with synapse(python, tmp_path_factory.mktemp("synapse")) as running:
        yield running


@pytest.fixture
def seller(server: Matrix, request: pytest.FixtureRequest) -> Poster:
    return Poster(server, *server.user(f"seller{abs(hash(request.node.name))}"))


@pytest.fixture
def reader(server: Matrix, station: Station, request: pytest.FixtureRequest) -> Poster:
    user = Poster(server, *server.user(f"reader{abs(hash(request.node.name))}"))
    account(station, server.url, user.user, user.token)
    return user


@pytest.fixture
def station(data: Path) -> Station:
    return Station(data)


def test_every_message_is_read_once_despite_kills_and_gaps(
    station: Station, seller: Poster, reader: Poster
) -> None:
    room, read = seller.room("loans"), Read(station)
    channel(station, "loans-room", "matrix", ROOM)
    before = {f"before {number}" for number in range(20)}
    seller.say_all(room, before)
    with collecting(station, "matrix"):
        read.wait(before)
    texts_ = set(before)
    for round_ in range(2):
        missed = {f"missed {round_} {number:03}" for number in range(GAP)}
        seller.say_all(room, missed)
        with collecting(station, "matrix"):
            live = {f"live {round_} {number}" for number in range(5)}
            seller.say_all(room, live)
            texts_ |= missed | live
            read.wait(texts_)  # and then it is killed
    with collecting(station, "matrix"):
        row_ = until(
            lambda: (row := status(station)["loans-room"])["state"] == "ok" and row,
            "it is ok again",
        )
    assert set(read.texts()) == texts_
    assert row_["messages"] == len(texts_)
    assert (row_["gaps"], row_["gaps_lost"], row_["reason"]) == (2, 0, None)
    assert {captured.site for captured in read.captures} == {"loans-room"}


def test_edits_replies_threads_files_and_deletions_are_captured(
    station: Station, seller: Poster, reader: Poster
) -> None:
    room, read = seller.room("kinds"), Read(station)
    channel(station, "kinds", "matrix", "#kinds:localhost")
    first = seller.say(room, f"内料 {SECRET}")
    relation = {"rel_type": "m.replace", "event_id": first}
    seller.say(
        room,
        "* edited",
        **{"m.new_content": {"msgtype": "m.text", "body": "edited"}, "m.relates_to": relation},
    )
    seller.say(room, "answer", **{"m.relates_to": {"m.in_reply_to": {"event_id": first}}})
    seller.say(room, "in a thread", **{"m.relates_to": {"rel_type": "m.thread", "event_id": first}})
    with collecting(station, "matrix") as process:
        read.wait({f"内料 {SECRET}", "edited", "answer", "in a thread"})
        seller.server.ask(
            "PUT", f"/_matrix/client/v3/rooms/{room}/redact/{first}/1", seller.token, {}
        )
        until(lambda: any(captured.deleted for captured in read.all()), "it was taken back")
        process.terminate()
        _, log = process.communicate(timeout=30)
    by_text = {captured.body.decode(): captured for captured in read.captures}
    original, edited = by_text[f"内料 {SECRET}"], by_text["edited"]
    assert (edited.post_id, edited.edited, original.edited) == (original.post_id, True, False)
    assert (
        by_text["answer"].reply_to == by_text["in a thread"].thread == original.message_id == first
    )
    assert (
        next(captured for captured in read.captures if captured.deleted).post_id == original.post_id
    )
    assert (original.author, original.channel, original.kind) == (
        seller.user,
        "#kinds:localhost",
        "message",
    )
    assert original.published_at is not None
    written = b"".join(
        path.read_bytes()
        for path in station.data.rglob("*")
        if path.is_file() and "keys" not in path.parts
    )
    for text in (SECRET, seller.user, first):
        assert text.encode() not in written
        assert text not in log


def test_lost_login_ban_and_closed_room_are_states(
    station: Station, seller: Poster, reader: Poster
) -> None:
    banned, closing, closed = (
        seller.room("banned"),
        seller.room("closing"),
        seller.room("closed", "private_chat"),
    )
    for name in ("banned", "closing", "closed", "nowhere"):
        channel(station, name, "matrix", f"#{name}:localhost")
    channel(station, "old", "matrix", "#banned:localhost", expires="2020-01-01")
    seller.act(closed, "invite", user_id=reader.user)
    with collecting(station, "matrix"):
        row_ = until(
            lambda: (
                (s := status(station))["banned"]["state"] == s["closing"]["state"] == "ok" and s
            ),
            "two are read",
        )
        assert [row_[name]["reason"] for name in ("closed", "nowhere", "old")] == [
            "closed",
            "address",
            "expired",
        ]
        seller.act(banned, "ban", user_id=reader.user)
        seller.state(closing, "m.room.join_rules", {"join_rule": "invite"})
        reasons = {"banned": "banned", "closing": "closed"}
        until(
            lambda: (
                (s := status(station))
                and all(s[name]["reason"] == why for name, why in reasons.items())
            ),
            "both are said",
        )
        reader.server.ask("POST", "/_matrix/client/v3/logout", reader.token, {})
        until(lambda: status(station)["nowhere"]["reason"] == "login", "the lost login is said")
