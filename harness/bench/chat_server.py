"""A stub of a Matrix server on loopback: one room of numbered messages, handed out as quickly as
they are asked for.

`/sync` gives the next 100; each tenth time it passes over 150 first, which `/messages` gives, as a
real server does. How many there are in all is argument 1; the port is printed. An answer depends on
its token alone, so it does not matter who died.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.parse
from collections.abc import Iterable

from aiohttp import web

ROOM = "!bench:stub"
PAGE, GAP, GAP_EVERY = 100, 150, 10
ROUND = GAP_EVERY * PAGE + GAP
"""Messages from one gap to the next."""
SENDERS = 50
BEGAN = 1_790_000_000_000
IDLE_SECONDS = 2.0


def event(number: int) -> dict[str, object]:
    """Return the message with that number, counted from 1."""
    body = (
        f"收料 做单 第 {number} 条, made-up words of a chat, about as long as people write in one"
    )
    return {
        "type": "m.room.message",
        "event_id": f"${number}:stub",
        "sender": f"@seller{number % SENDERS}:stub",
        "origin_server_ts": BEGAN + number * 1000,
        "content": {"msgtype": "m.text", "body": body},
    }


def following(since: int, total: int) -> tuple[int, int, bool]:
    """First and last message that `/sync` gives after `since`, and whether it passes over some
    before.
    """
    skipped = GAP if since % ROUND == ROUND - PAGE - GAP else 0
    last = min(total, since + skipped + PAGE)
    first = min(since + skipped, total) + 1
    return first, last, skipped > 0


class Room:
    """The server."""

    def __init__(self, total: int) -> None:
        self.total = total

    def app(self) -> web.Application:
        """Return the application with the room's paths."""
        application, client = web.Application(), "/_matrix/client/v3"
        room = f"{client}/rooms/{{room}}"
        application.router.add_post(f"{client}/join/{{alias}}", self.join)
        application.router.add_get(f"{room}/state/m.room.join_rules", self.rules)
        application.router.add_get(f"{room}/state/m.room.encryption", self.missing)
        application.router.add_get(f"{client}/sync", self.sync)
        application.router.add_get(f"{room}/messages", self.messages)
        return application

    async def join(self, _: web.Request) -> web.Response:
        """Anybody may."""
        return _said({"room_id": ROOM})

    async def rules(self, _: web.Request) -> web.Response:
        """Answer that the room is open."""
        return _said({"join_rule": "public"})

    async def missing(self, _: web.Request) -> web.Response:
        """Answer that nothing is encrypted."""
        return _said({"errcode": "M_NOT_FOUND", "error": "not here"}, 404)

    async def sync(self, request: web.Request) -> web.Response:
        """Answer with what follows the token; after the last message the answer takes a while."""
        since = int(request.query.get("since", "s0")[1:])
        first, last, limited = following(since, self.total)
        if since >= self.total:
            await asyncio.sleep(IDLE_SECONDS)
        timeline = {
            "events": [event(n) for n in range(first, last + 1)],
            "limited": limited,
            "prev_batch": f"p{first - 1}",
        }
        empty: dict[str, object] = {"events": []}
        room = {
            "timeline": timeline,
            "state": empty,
            "ephemeral": empty,
            "account_data": empty,
            "unread_notifications": {},
            "summary": {},
        }
        rooms = {"join": {ROOM: room} if since < self.total else {}, "invite": {}, "leave": {}}
        return _said({"next_batch": f"s{last}", "rooms": rooms, **_quiet()})

    async def messages(self, request: web.Request) -> web.Response:
        """Back from one token to another, a page."""
        start, limit = int(request.query["from"][1:]), int(request.query.get("limit", "10"))
        end = int(urllib.parse.unquote(request.query.get("to", "s0"))[1:])
        stop = max(end, start - limit)
        chunk = [event(n) for n in range(start, stop, -1)]
        return _said(
            {"start": f"p{start}", "chunk": chunk, **({"end": f"p{stop}"} if stop > end else {})}
        )


def _quiet() -> dict[str, object]:
    nothing: dict[str, Iterable[object]] = {"events": []}
    counts: dict[str, object] = {
        "device_one_time_keys_count": {},
        "device_lists": {"changed": [], "left": []},
    }
    return {"presence": nothing, "to_device": nothing, "account_data": nothing, **counts}


def _said(content: object, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(content), status=status, content_type="application/json")


async def serve(total: int) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(Room(total).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
