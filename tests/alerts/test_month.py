"""The counts of the last month: every incident is counted once, a false positive never."""

from datetime import timedelta

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision
from alerts.store.queries import count_recent
from tests.alerts.builders import incident
from ullage.settings import Tenant


def test_incident_counts_for_thirty_days_and_a_false_positive_never(store, clock):
    now = clock.as_clock().now().replace(hour=20)
    store.put(
        [
            incident("INC-A", now, severity="high"),
            incident("INC-B", now - timedelta(days=29)),
            incident("INC-C", now),
            incident("INC-D", now - timedelta(days=40)),
        ]
    )
    decided = {"tenant": "bank", "incident": "INC-C", "at": now, "by": "Li"}
    store.create([Decision(id="INC-C:1", status="false_positive", **decided)])
    assert Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete() == 4
    assert count_recent(store, now + timedelta(hours=1)).customers == {
        ("bank", "none", "high"): 1,
        ("bank", "none", "low"): 1,
    }
