"""Goes through the steps of the frontier or of the store, each first on a disk that fails and then
on one that works.

Run by `test_disk.py` with `tests/faults/failing_disk.c` loaded before the C library. Prints in JSON
what each step said on the failing disk, "done" where it did not need it, and what is read at the
end.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from alerts.records import Claim
from alerts.store import DocumentFilter, open_store
from crawlers.frontier.database import Frontier
from crawlers.frontier.file import LONGEST_SECONDS
from crawlers.sites.pages import PageAddress, PageContent
from tests.conftest import HeldClock
from tests.contracts.test_incident_store import claim
from tests.crawlers.support import KEY, item, post
from ullage.errors import UnavailableError

T = TypeVar("T")
SITE, LIST = "board", PageAddress("http://board.example/list", "list")


@dataclass
class Disk:
    """What the library is told; without any the disk always works."""

    fault: bytes
    control: mmap.mmap | None
    messages: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, act: Callable[[], T]) -> T:
        """Take a step on the failing disk and, if that refused it, on the working one."""
        if self.control is None:
            return act()
        self.control[:] = self.fault
        try:
            value = act()
        except UnavailableError as error:
            self.messages[name] = str(error)
        else:
            self.messages[name] = "done"
            return value
        finally:
            self.control[:] = bytes(len(self.fault))
        return act()


def frontier(data: Path, disk: Disk) -> Any:
    """Visit a list that leads to four pages: two read, one postponed and one parked."""
    clock = HeldClock(1_800_000_000.0)

    def open_frontier() -> Frontier:
        return Frontier(data, KEY, clock.as_clock())

    with closing(disk.step("open", open_frontier)) as opened_frontier:
        began = disk.step("begin", lambda: opened_frontier.begin_visit(SITE, [LIST]))
        pages = PageContent(posts=(post(1), post(2)), pages=tuple(map(item, range(1, 5))))
        for name, act in (
            ("list", lambda page: opened_frontier.finish(page, pages, began)),
            (
                "read",
                lambda page: opened_frontier.finish(page, PageContent(posts=(post(3),)), began),
            ),
            (
                "read and waiting",
                lambda page: opened_frontier.finish(page, PageContent(posts=(post(4),)), began),
            ),
            ("put off", opened_frontier.postpone),
            ("given up", opened_frontier.park),
        ):
            page = opened_frontier.lease(SITE)
            assert page
            if name == "read":  # after a pause a page is written at once
                clock.advance(LONGEST_SECONDS)
            disk.step(name, lambda act=act, page=page: act(page))  # type: ignore[misc]
        disk.step("end", lambda: opened_frontier.end_visit(SITE, began + 300, succeeded=True))
        disk.step("beat", lambda: opened_frontier.history.record_heartbeat(began, 3600.0))
    with closing(open_frontier()) as opened_frontier:
        opened_frontier.check()
        unseen = [
            unseen_post.url
            for unseen_post in opened_frontier.unseen(SITE, [post(n) for n in range(1, 6)])
        ]
        rows = opened_frontier._database.execute(
            "select name, state, due_at, attempts, entries from pages order by name"
        ).fetchall()
        state = (
            opened_frontier.count_pages(SITE),
            opened_frontier.visits(SITE),
            opened_frontier.history.count_heartbeats(0.0, began + 1),
            unseen,
            rows,
        )
    return repr(state)


def store(data: Path, disk: Disk) -> Any:
    """Documents are put, replaced, created and deleted."""

    def open_documents() -> Any:
        return open_store("sqlite:///incidents.sqlite", data)

    with closing(disk.step("open", open_documents)) as opened_store:
        disk.step("put", lambda: opened_store.put([claim(str(n)) for n in range(50)]))
        disk.step("replace", lambda: opened_store.put([claim("7", "INC-B"), claim("new")]))
        disk.step("create", lambda: opened_store.create([claim("8", "INC-C"), claim("other")]))
        disk.step("delete", lambda: opened_store.delete(Claim, [claim("9").id]))
    with closing(open_documents()) as opened_store:
        opened_store.check()
        return repr(
            sorted(
                (item.id, item.incident) for item in opened_store.scroll(Claim, DocumentFilter())
            )
        )


PARTS: dict[str, Callable[[Path, Disk], Any]] = {"frontier": frontier, "store": store}


def main(part: str, data: str, fault: str) -> None:
    """Go through the steps of a part; `fault` are the bytes for the library in hex, none for a
    disk that works.
    """
    control = None
    if fault:
        with Path(os.environ["DISK_CONTROL"]).open("r+b") as file:
            control = mmap.mmap(file.fileno(), 0)
    disk = Disk(bytes.fromhex(fault), control)
    state = PARTS[part](Path(data), disk)
    sys.stdout.write(json.dumps({"messages": disk.messages, "found": state}))


if __name__ == "__main__":
    main(*sys.argv[1:])
