"""That posts of one seller are joined in every store: what fold reads back it must find at once,
by id and by filter.
"""

from contextlib import closing

from alerts.cases.actions import Cases
from alerts.cases.incident_list import Filters, find_page
from alerts.cases.reopening import Returns
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Background, Incident, incident_id
from alerts.store import DocumentFilter, open_store
from alerts.store.queries import count_incidents
from tests.alerts.builders import everything, finding, fold_all
from tests.alerts.test_joined import facts, make_message, own_number
from tests.alerts.test_presence import at, make_post, map_presence, withdrawn
from tests.stores import ON_SERVERS, each_backend, make_shared_store
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules

backend = each_backend("sqlite", *ON_SERVERS)
url = make_shared_store()


def changes_nothing_again(store, clock, posts) -> None:
    before = everything(store)
    fold_all(store, clock, posts[::-1], batch=2)
    store.refresh()
    assert everything(store) == before


def test_posts_are_grouped_in_any_order_and_repetition_changes_nothing(
    store, clock, tmp_path
) -> None:
    posts = [
        own_number("lone", 12),
        make_message("f"),
        make_message("g", 40),
        own_number("apart", 5, where={"author": "@b"}),
        make_message("h", 20),
    ]
    fold_all(store, clock, posts, batch=1)
    store.refresh()
    (head,) = find_page(store, Filters(), 50).items
    assert (head.customers, head.sightings, len(head.parts)) == (4, 4, 1)
    assert [part.id for part in store.scroll(Incident, DocumentFilter({"folded": (head.id,)}))] == [
        *head.parts
    ]
    assert [
        incident.id
        for incident in store.scroll(
            Incident, DocumentFilter({"series": ("@a",), "severity": (head.severity,)})
        )
    ].count(head.id) == 1
    Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete()
    assert sum(count_incidents(store).values()) == 1
    assert [fact.id for fact in store.scroll(Background, DocumentFilter())] == ["apart"]
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as reversed_store:
        fold_all(reversed_store, clock, posts[::-1], batch=2)
        assert facts(reversed_store) == facts(store)
    changes_nothing_again(store, clock, posts)


def test_merged_and_split_incidents_are_the_same_in_every_store(store, clock, context) -> None:
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="abc"),
            finding("g", range(30, 40), people="de", site="forum"),
        ],
    )
    a, b = incident_id("f"), incident_id("g")
    work = Work(Duties(store, lambda _: Tenant(), clock.as_clock()))
    cases, returns = (
        Cases(work, context.trail()),
        Returns(work, context.trail(), load_verdict_rules),
    )
    cases.merge(a, b, by="Li Wei", note="one seller")
    returns.turn()
    store.refresh()
    (whole,) = find_page(store, Filters(), 50).items
    assert (whole.id, whole.customers, whole.parts, sum(count_incidents(store).values())) == (
        a,
        5,
        (b,),
        1,
    )
    clock.advance(60)
    cases.split(a, b, by="Li Wei", note="two sellers")
    returns.turn()
    store.refresh()
    assert {
        incident.id: incident.customers for incident in find_page(store, Filters(), 50).items
    } == {a: 3, b: 2}
    assert sum(count_incidents(store).values()) == 2


def test_conversation_spanning_two_batches_is_one_incident(store, clock) -> None:
    fold_all(store, clock, [make_message(f"f{n}", n * 10) for n in range(7)], batch=1)
    store.refresh()
    (incident,) = find_page(store, Filters(), 50).items
    assert (incident.id, incident.joined) == (incident_id("f0"), 7)


def test_deleted_or_restored_posts_are_recorded_in_any_order(store, clock, tmp_path) -> None:
    news = [
        withdrawn(10),
        make_post(),
        make_post("g", 20, post="q", people="cd"),
        withdrawn(40, post="q"),
        make_post("g", 60, post="q"),
    ]
    fold_all(store, clock, news, batch=1)
    assert map_presence(store) == {"f": (at(10), "deleted", None), "g": (None, "", at(60))}
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as reversed_store:
        fold_all(reversed_store, clock, news[::-1], batch=2)
        assert map_presence(reversed_store) == map_presence(store)
    changes_nothing_again(store, clock, news)
