"""A data folder with channels, its collector as a process, and real chat servers to read; all
people and texts are made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import slixmpp

from deploy.local.server import HOST
from harness.servers.chats import Matrix, Xmpp
from tests.crawlers.conftest import Station
from ullage.records import Capture

SOON = 45.0
LINES = ("legal_basis", "test"), ("owner", "test"), ("expires", None)


def channel(
    station: Station,
    name: str,
    service: str,
    address: str,
    access: str = "open",
    expires: str = "2099-01-01",
) -> None:
    folder = station.data / "channels.d"
    folder.mkdir(exist_ok=True)
    lines = [
        f'service = "{service}"',
        f'address = "{address}"',
        'account = "reader"',
        f'access = "{access}"',
    ]
    lines += ['legal_basis = "test"', 'owner = "test"', f"expires = {expires}"]
    (folder / f"{name}.toml").write_text("\n".join(lines))


def account(station: Station, *lines: str) -> None:
    folder = station.data / "keys" / "collect"
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "reader").write_text("\n".join(lines) + "\n")
    (folder / "reader").chmod(0o600)


@contextlib.contextmanager
def collecting(station: Station, service: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run the collector as a process, and kill it with SIGKILL at the end."""
    ports = {f"metrics_ports__{name}": "0" for name in ("matrix", "xmpp", "telegram", "imap")}
    with station.start("collect", service, **{**ports, **settings}) as process:
        yield process


def status(station: Station) -> dict[str, dict[str, object]]:
    with station.start("collect", "--json") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 5), err
    return {row["channel"]: row for row in map(json.loads, out.splitlines())}


def until(act: Any, what: str, seconds: float = SOON) -> Any:
    """Return the result of `act` once it has one; fail when that takes too long."""
    began = time.monotonic()
    while not (result := act()):
        assert time.monotonic() - began < seconds, what
        time.sleep(0.2)
    return result


@dataclass
class Read:
    """What came to the bus since the start, by message."""

    station: Station
    captures: list[Capture] = field(default_factory=list)

    def all(self) -> list[Capture]:
        self.captures = [*self.captures, *self.station.captures("reading")]
        return self.captures

    def texts(self) -> list[str]:
        return [
            captured.body.decode()
            for captured in self.all()
            if captured.kind == "message" and captured.body
        ]

    def wait(self, texts: set[str], seconds: float = SOON) -> None:
        until(lambda: texts <= set(self.texts()), f"{len(texts)} messages are read", seconds)


@dataclass
class Poster:
    """Somebody who talks in a Matrix room."""

    server: Matrix
    user: str
    token: str

    def room(self, alias: str, preset: str = "public_chat") -> str:
        body = {"room_alias_name": alias, "preset": preset}
        room = self.server.ask("POST", "/_matrix/client/v3/createRoom", self.token, body)
        return str(room["room_id"])

    def send(self, room: str, kind: str, content: dict[str, object]) -> str:
        place = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room)}"
        path = f"{place}/send/{kind}/{secrets.token_hex(8)}"
        return str(self.server.ask("PUT", path, self.token, content)["event_id"])

    def say(self, room: str, text: str, **more: object) -> str:
        return self.send(room, "m.room.message", {"msgtype": "m.text", "body": text, **more})

    def say_all(self, room: str, texts: Iterable[str]) -> None:
        """Say all of these, in any order."""
        with ThreadPoolExecutor(8) as hands:
            list(hands.map(lambda text: self.say(room, text), texts))

    def act(self, room: str, what: str, **body: object) -> None:
        self.server.ask(
            "POST", f"/_matrix/client/v3/rooms/{urllib.parse.quote(room)}/{what}", self.token, body
        )

    def state(self, room: str, kind: str, content: dict[str, object]) -> None:
        self.server.ask(
            "PUT",
            f"/_matrix/client/v3/rooms/{urllib.parse.quote(room)}/state/{kind}/",
            self.token,
            content,
        )


def expect_refusal(act: Any) -> bool:
    try:
        act()
    except HTTPError:
        return True
    return False


class Talker:
    """Somebody who talks in XMPP rooms, each time in a session of its own."""

    def __init__(self, server: Xmpp, name: str) -> None:
        self.server = server
        self.address, self.password = server.user(name)

    def __call__(self, act: Any) -> None:
        """Run `act(client, rooms)` in a session."""

        async def run() -> None:
            client = slixmpp.ClientXMPP(self.address, self.password)
            client.enable_starttls = client.enable_direct_tls = False
            client.enable_plaintext = True
            client.plugin["feature_mechanisms"].unencrypted_scram = True
            for plugin in ("xep_0045", "xep_0004", "xep_0308"):
                client.register_plugin(plugin)
            started = asyncio.get_running_loop().create_future()
            client.add_event_handler("session_start", lambda _: started.set_result(None))
            client.connect(HOST, self.server.port)
            async with asyncio.timeout(20):
                await started
            client.send_presence()
            await act(client, client.plugin["xep_0045"])
            client.disconnect(wait=1.0)
            await client.disconnected

        asyncio.run(run())

    def open(self, room: str, **options: str) -> None:
        """Make a room, persistent and open to all unless `options` say otherwise."""

        async def act(client: Any, rooms: Any) -> None:
            await rooms.join_muc_wait(slixmpp.JID(room), "owner", timeout=20)
            form = client.plugin["xep_0004"].make_form(ftype="submit")
            form.add_field(
                var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig"
            )
            for name, value in {"persistentroom": "1", **options}.items():
                form.add_field(var=f"muc#roomconfig_{name}", value=value)
            await rooms.set_room_config(slixmpp.JID(room), form)

        self(act)

    def say(self, room: str, texts: list[str]) -> None:
        async def act(client: Any, rooms: Any) -> None:
            await rooms.join_muc_wait(slixmpp.JID(room), "seller", maxstanzas=0, timeout=20)
            for text in texts:
                client.send_message(mto=slixmpp.JID(room), mbody=text, mtype="groupchat")
            delivered = asyncio.Event()

            def note_delivery(stanza: Any) -> None:
                if stanza["body"] == texts[-1]:
                    delivered.set()

            client.add_event_handler("groupchat_message", note_delivery)
            async with asyncio.timeout(30):
                await delivered.wait()

        self(act)

    def affiliation(self, room: str, address: str, affiliation: str) -> None:
        async def act(client: Any, rooms: Any) -> None:
            await rooms.set_affiliation(slixmpp.JID(room), affiliation, jid=slixmpp.JID(address))

        self(act)
