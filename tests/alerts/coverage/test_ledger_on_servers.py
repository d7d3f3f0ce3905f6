"""The ledger in Elasticsearch: a night with a gap, days that begin, a sheet, an explanation,
retention.
"""

import contextlib
from pathlib import Path

import pytest

from alerts.coverage.signed_days import Sheets, check_days
from alerts.records import CLASSES, DaySheet, GapReason, SiteDay
from alerts.service import upkeep
from alerts.store import DocumentFilter, open_store
from tests.alerts.coverage.heartbeats import DAY, HOUR, NINE, Alert
from tests.conftest import HeldClock
from tests.factories import clocks_at
from tests.stores import ON_SERVERS, each_backend, empty_store
from ullage.security import keys
from ullage.security.signing import TOPIC
from ullage.settings import Context, StoreSettings

backend = each_backend(*ON_SERVERS)
url = empty_store(CLASSES)


@pytest.mark.servers
def test_coverage_log_is_the_same_on_servers(
    url: str, tmp_path: Path, context: Context, clock: HeldClock, monkeypatch
) -> None:
    with contextlib.closing(open_store(url, tmp_path)) as store:
        alert = Alert(store, clock)
        sheets = Sheets(store, clock.as_clock(), keys.load_signer(context.keys, "alert"))
        alert.ledger.reopen = sheets.reopen
        alert.hears(NINE, NINE + HOUR, "board pastes")
        alert.at(NINE + 2.25 * HOUR)
        store.refresh()
        assert [gap.since for gap in alert.report().find_unexplained()] == [NINE + HOUR] * 2
        reason = {
            "since": NINE + HOUR,
            "until": NINE + 2 * HOUR,
            "at": NINE,
            "by": "Li",
            "reason": "power cut",
        }
        store.create([GapReason(id="GAP-1", site="", **reason)])
        alert.at(NINE + DAY)
        alert.ledger.begin_day()
        sheets.sign_due()
        store.refresh()
        assert store.count(SiteDay, DocumentFilter()) == 4
        assert all(gap.since == NINE + 2 * HOUR for gap in alert.report().find_unexplained())
        (standing,) = check_days(
            store,
            ["2026-09-21"],
            keys.load_verifier(context.keys, TOPIC),
            None,
            clock.as_clock().now(),
        )
        assert standing.holds, standing.said
        alert.hears(NINE + HOUR, NINE + 2 * HOUR)
        store.refresh()
        assert store.count(DaySheet, DocumentFilter()) == 2
        monkeypatch.setattr(upkeep, "COVERAGE_DAYS", 1.0)
        removed = upkeep.expire(store, StoreSettings(), clocks_at(NINE + 2 * DAY))
        assert removed[SiteDay] == 4
