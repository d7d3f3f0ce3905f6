"""Killed between any two statements of a write, each part has all of it or nothing when it is
opened again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from alerts.records import Claim, Incident, WorkItem
from alerts.store import DocumentFilter, open_store
from crawlers.frontier.database import Frontier
from crawlers.sites.pages import PageAddress, PageContent
from tests.alerts.builders import incident
from tests.conftest import KEEP, NOON, HeldClock
from tests.contracts.test_incident_store import claim
from tests.crawlers.support import KEY, item, post
from tests.factories import outgoing
from ullage.bus import CAPTURES, open_bus

SITE, LIST = "board", PageAddress("http://board.example/list", "list")


class Deaths:
    """Copies of a folder as it lay at the beginning of each statement, as a process that is
    killed there leaves it.
    """

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder, self.copies, self.looking = folder, copies, False
        self.count = 0

    def watch(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._before

    def _before(self, _cursor: Any, _sql: str, _values: Any) -> bool:
        if self.looking:
            shutil.copytree(self.folder, self.copies / str(self.count))
            self.count += 1
        return True


@pytest.fixture
def deaths(tmp_path: Path) -> Iterator[Deaths]:
    (tmp_path / "live").mkdir()
    watcher = Deaths(tmp_path / "live", tmp_path / "deaths")
    apsw.connection_hooks.append(watcher.watch)
    yield watcher
    apsw.connection_hooks.remove(watcher.watch)


class BusRun:
    def __init__(self, folder: Path) -> None:
        self.bus = open_bus("sqlite:///bus", folder, KEEP, HeldClock().as_clock())
        self.publisher = self.bus.publisher(CAPTURES)

    def before(self) -> None:
        self.publisher.append([outgoing("first")])

    def append(self) -> None:
        self.publisher.append([outgoing(value) for value in "abc"])

    def state(self) -> Any:
        with closing(self.bus.subscribe(CAPTURES, "match")) as subscription:
            return [record.value for record in subscription.poll(100, 0.0)]

    def close(self) -> None:
        self.publisher.close()


class StoreRun:
    def __init__(self, folder: Path) -> None:
        self.store = open_store("sqlite:///incidents.sqlite", folder)

    def before(self) -> None:
        self.store.put([incident("INC-A"), incident("INC-B"), *(claim(str(n)) for n in range(3))])

    def put(self) -> None:
        self.store.put(
            [
                incident("INC-A", sites=("forum", "paste")),
                claim("1", "INC-B"),
                incident("INC-C", sites=("forum",)),
            ]
        )

    def create(self) -> None:
        self.store.create([claim("1", "INC-C"), claim("new"), incident("INC-D")])

    def delete(self) -> None:
        self.store.delete(Incident, ["INC-A", "INC-B"])

    def state(self) -> Any:
        self.store.check()
        rows = [
            [document.model_dump_json() for document in self.store.scroll(kind, DocumentFilter())]
            for kind in (Claim, Incident, WorkItem)
        ]
        return sorted(map(sorted, rows)), self.store.count(
            Incident, DocumentFilter({"sites": ("forum",)})
        )

    def close(self) -> None:
        self.store.close()


class FrontierRun:
    def __init__(self, folder: Path) -> None:
        self.kept = Frontier(folder, KEY, HeldClock().as_clock())

    def before(self) -> None:
        began = self.kept.begin_visit(SITE, [LIST])
        page = self.kept.lease(SITE)
        assert page
        self.kept.finish(
            page, PageContent(posts=(post(1), post(2)), pages=(item(1), item(2))), began
        )
        self.page, self.began = self.kept.lease(SITE), began

    def finish(self) -> None:
        self.kept.finish(
            self.page, PageContent(posts=(post(3), post(4)), pages=(item(3), item(4))), self.began
        )

    def end(self) -> None:
        self.kept.end_visit(SITE, NOON + 300, succeeded=True)

    def beat(self) -> None:
        self.kept.history.record_heartbeat(NOON, 3600.0)

    def state(self) -> Any:
        unseen = [item.url for item in self.kept.unseen(SITE, [post(n) for n in range(1, 6)])]
        rows = self.kept.connection.execute(
            "select hex(name), state, due_at, attempts from pages order by name"
        ).fetchall()
        return (
            self.kept.count_pages(SITE),
            self.kept.visits(SITE),
            self.kept.history.count_heartbeats(0.0, NOON + 1),
            unseen,
            rows,
        )

    def close(self) -> None:
        self.kept.close()


PARTS: list[tuple[type[Any], str]] = [
    (BusRun, "append"), (StoreRun, "put"), (StoreRun, "create"), (StoreRun, "delete"),
    (FrontierRun, "finish"), (FrontierRun, "end"), (FrontierRun, "beat"),
]  # fmt: skip


def state_of(part: Callable[[Path], Any], folder: Path) -> Any:
    with closing(part(folder)) as opened:
        return opened.state()


@pytest.mark.parametrize(
    ("part", "act"), PARTS, ids=[f"{part.__name__} {act}" for part, act in PARTS]
)
def test_interrupted_write_is_complete_or_absent(deaths: Deaths, part: type[Any], act: str) -> None:
    with closing(part(deaths.folder)) as opened:
        opened.before()
        deaths.looking = True
        getattr(opened, act)()
        deaths.looking = False
    folders = [deaths.copies / str(number) for number in range(deaths.count)]
    before, after = state_of(part, folders[0]), state_of(part, deaths.folder)
    assert before != after
    assert len(folders) > 3, "nothing was written in several statements: this looks at nothing"
    for folder in folders[1:]:
        assert state_of(part, folder) in (before, after)
