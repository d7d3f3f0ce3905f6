"""A heartbeat through real processes: across a gap of files, from a crawl outside to match and alert inside."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.records import SiteDay
from alerts.store import DocumentFilter, configured_store
from deploy.demo.drive import Ullage
from deploy.local.server import free_ports, takes_connections
from tests.crawlers.support import serving
from tests.flow.daemon import samples, until
from tests.flow.zones import exchange_keys
from ullage.bus import CAPTURES
from ullage.errors import UllageError
from ullage.runtime.supervisor import command
from ullage.settings import Context

pytestmark = pytest.mark.flow
SITE = """\
platform = "raw_paste"
start = ["{url}/archive"]
allow_private = true
delay_seconds = 0
watch = true
legal_basis = "synthetic, on this machine"
owner = "the test"
"""


def configured(data: Path, text: str) -> Ullage:
    data.mkdir(mode=0o700)
    (data / "ullage.toml").write_text(text)
    return Ullage(data)


@contextlib.contextmanager
def role(data: Path, name: str, port: int) -> Iterator[None]:
    with subprocess.Popen(command(data, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: takes_connections(port), f"{name} listens")
            yield
        finally:
            process.terminate()


def ledger(data: Path) -> list[SiteDay]:
    """All that alert wrote of coverage."""
    with contextlib.closing(configured_store(Context(data))) as store:
        return list(store.scroll(SiteDay, DocumentFilter()))


def carry(outer: Path, inner: Path) -> None:
    """One round of the carrier."""
    inner.mkdir(parents=True, exist_ok=True)
    for path in sorted(outer.glob("*.spool")):
        shutil.move(path, inner / path.name)


def test_the_inner_zone_shows_the_outer_zones_sites_and_how_long_the_way_is(tmp_path: Path) -> None:
    match_port, alert_port = free_ports(2)
    ports = f"[metrics_ports]\nmatch = {match_port}\nalert = {alert_port}\n"
    inner = configured(tmp_path / "inner", f'[bus]\ncaptures = "spool:///spool"\n{ports}')
    inner("init")
    outer = configured(tmp_path / "outer", '[bus]\nurl = "spool:///spool"\n[crawl]\norigin = "outside"\n')
    exchange_keys(outer.data / "keys", inner.data / "keys")
    (outer.data / "sites.d").mkdir()
    with serving() as answers:
        answers.says("/archive", '<a href="/paste1">one</a>')
        answers.says("/raw/paste1", "a paste of nobody", **{"Content-Type": "text/plain"})
        for name, address in (("board", answers.url), ("gone", "http://127.0.0.1:1")):
            (outer.data / "sites.d" / f"{name}.toml").write_text(SITE.format(url=address))
        with pytest.raises(UllageError, match="not read: gone"):  # the board was read all the same
            outer("crawl", "--once")
    carry(outer.data / "spool" / CAPTURES, inner.data / "spool" / CAPTURES)
    newest = 'ullage_heartbeat_timestamp_seconds{{origin="outside",stage="{}"}}'.format
    with role(inner.data, "match", match_port), role(inner.data, "alert", alert_port):
        until(lambda: newest("match") in samples(match_port), "the heartbeat is at match", 30)
        until(lambda: newest("alert") in samples(alert_port), "the heartbeat is at alert", 30)
        seen, told = samples(match_port), samples(alert_port)
    lines = [
        json.loads(line)
        for line in subprocess.run(
            command(inner.data, "coverage", "--since", "1h", "--json"), capture_output=True, text=True, check=False
        ).stdout.splitlines()
    ]
    letters = {row.site: set(row.told()) - {".", "-"} for row in ledger(inner.data)}
    assert letters == {"board": {"w"}, "gone": {"u"}}, "match has no watchlist"
    assert lines[-1]["type"] == "total"
    assert seen[newest("match")] == told[newest("alert")]
    assert seen['ullage_crawl_site_state{site="board",state="ok"}'] == 1
    assert seen['ullage_crawl_site_state{site="gone",state="unreachable"}'] == 1
    assert seen['ullage_crawl_sites{state="unreachable"}'] == 1
    assert seen['ullage_crawl_pages_total{origin="outside",outcome="ok",site="other"}'] == 2
    assert (seen["ullage_match_captures_total"], told['ullage_pipe_seconds_count{stage="alert"}']) == (1, 1)
    assert not any(name.startswith("ullage_crawl_") for name in told)
