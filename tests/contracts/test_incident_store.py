"""What every incident store must do; `alerts.store` states the promises, a new backend is one
line in `tests/stores.py`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from alerts.records import Claim, Decision, Exposure, Incident, WorkItem
from alerts.records.document import Document, Excerpt, QueryError
from alerts.store import DocumentFilter, First, IncidentStore, WriteResult, open_store
from tests.alerts import builders
from tests.stores import ON_SERVERS, each_backend, make_shared_store
from ullage.errors import ConfigError, CorruptError, UnavailableError

T0 = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
backend = each_backend("sqlite", *ON_SERVERS)
url = make_shared_store((Claim, Decision, Exposure, Incident, WorkItem))


@pytest.fixture
def reopen(url: str, tmp_path: Path) -> Iterator[Callable[[], IncidentStore]]:
    """Yield a function that opens the same store once more, as another process would."""
    opened: list[IncidentStore] = []

    def again() -> IncidentStore:
        opened.append(open_store(url, tmp_path))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], IncidentStore]) -> IncidentStore:
    return reopen()


def incident(id_: str = "INC-A", minutes: int = 0, **changes: Any) -> Incident:
    return builders.incident(
        id_,
        T0 + timedelta(minutes=minutes),
        **{"titles": ("一批客户资料",), "exposure": 10, **changes},
    )


def exposure(subject: str, minutes: int = 0, **changes: Any) -> Exposure:
    when = T0 + timedelta(minutes=minutes)
    fields: dict[str, Any] = {
        "id": f"INC-A:{subject}",
        "tenant": "bank",
        "incident": "INC-A",
        "subject": subject,
    }
    fields |= {
        "kinds": ("phone",),
        "forms": ("plain",),
        "fields": ("PHONE",),
        "own_fields": (),
        "groups": (("PHONE",),),
        "sites": ("paste",),
    }
    fields |= {
        "sightings": ("f",),
        "index_tags": ("aa",),
        "index_epoch": 1,
        "first_seen": when,
        "last_seen": when,
    }
    return Exposure(**{**fields, "confidence": 80, "corroborated": False, **changes})


def claim(value: str, holder: str = "INC-A") -> Claim:
    return Claim(id=f"bank:candidates:{value}", tenant="bank", incident=holder, at=T0)


def find_ids(store: IncidentStore, **where: Any) -> list[str]:
    store.refresh()
    return [document.id for document in store.search(Incident, DocumentFilter(**where)).items]


def test_document_round_trips(store):
    document = incident(publish_seconds=1.5, linked=("INC-B",), titles=("内料 <b>", "二"))
    assert store.put([document]) == [WriteResult.CREATED]
    assert store.get(Incident, "INC-A") == document


def test_write_is_durable_when_it_returns(store, reopen):
    store.put([incident()])
    assert reopen().get(Incident, "INC-A") == incident()


def test_search_sees_a_decision_as_soon_as_it_is_written(store):
    for n in range(3):
        closing = Decision(
            id=f"d{n}", tenant="bank", incident="INC-A", at=T0, by="Li", status="confirmed"
        )
        assert store.create([closing]) == [True]
        assert store.count(Decision, DocumentFilter({"incident": ("INC-A",)})) == n + 1
        assert store.put([closing, claim(str(n))]) == [WriteResult.REPLACED, WriteResult.CREATED]
        assert sum(1 for _ in store.scroll(Decision, DocumentFilter())) == n + 1


def test_missing_document_is_none_and_left_out_of_many(store):
    store.put([incident("INC-A"), incident("INC-B")])
    assert store.get(Incident, "INC-Z") is None
    assert set(store.mget(Incident, ["INC-B", "INC-Z", "INC-A"])) == {"INC-A", "INC-B"}
    assert store.mget(Incident, []) == {}


def test_classes_do_not_share_ids(store):
    store.put([incident("same")])
    assert store.get(Claim, "same") is None


def test_create_writes_only_new_documents(store):
    assert store.create([claim("1"), claim("2")]) == [True, True]
    assert store.create([claim("2", "INC-B"), claim("3", "INC-B"), claim("3", "INC-C")]) == [
        False,
        True,
        False,
    ]
    holders = {
        id_: c.incident for id_, c in store.mget(Claim, [claim(v).id for v in "123"]).items()
    }
    assert sorted(holders.values()) == ["INC-A", "INC-A", "INC-B"]


def test_exactly_one_of_several_creators_succeeds(reopen):
    stores, creations, start = [reopen() for _ in range(4)], list[bool](), threading.Barrier(4)

    def race(own: IncidentStore, name: str) -> None:
        start.wait()
        for value in range(20):
            creations.extend(own.create([claim(str(value), name)]))

    threads = [
        threading.Thread(target=race, args=(store_, f"INC-{n}")) for n, store_ in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert creations.count(True) == 20
    assert len(creations) == 80


def test_put_returns_the_result_for_each_document(store):
    store.put([incident("INC-A")])
    assert store.put([incident("INC-A", customers=2), incident("INC-B")]) == [
        WriteResult.REPLACED,
        WriteResult.CREATED,
    ]
    assert store.get(Incident, "INC-A").customers == 2


def versions(store: IncidentStore, *ids: str) -> dict[str, str]:
    return {id_: versioned.version for id_, versioned in store.read(Exposure, ids).items()}


def test_versioned_read_returns_the_same_documents(store):
    store.put([exposure("s1"), exposure("s2")])
    versioned = store.read(Exposure, ["INC-A:s1", "INC-A:s2", "nobody"])
    assert {id_: reading.document for id_, reading in versioned.items()} == store.mget(
        Exposure, ["INC-A:s1", "INC-A:s2", "nobody"]
    )
    assert versioned.keys() == {"INC-A:s1", "INC-A:s2"}
    assert store.read(Exposure, []) == {}


def test_stale_write_is_rejected(reopen):
    late, quick = reopen(), reopen()
    quick.put([exposure("s1", sightings=("f0",)), exposure("s2")])
    read = versions(late, "INC-A:s1", "INC-A:s2")
    assert quick.put([exposure("s1", sightings=("f0", "f1"))], versions(quick, "INC-A:s1")) == [
        WriteResult.REPLACED
    ]
    sent = [exposure("s1", sightings=("f0", "f2")), exposure("s2", sightings=("f", "f2"))]
    assert late.put(sent, read) == [WriteResult.CONFLICT, WriteResult.REPLACED]
    late.refresh()
    assert late.get(Exposure, "INC-A:s1").sightings == ("f0", "f1")
    assert late.get(Exposure, "INC-A:s2").sightings == ("f", "f2")
    assert late.put(sent[:1], versions(late, "INC-A:s1")) == [WriteResult.REPLACED], (
        "read again it is done"
    )
    assert late.put(sent[:1], read) == [WriteResult.CONFLICT], (
        "the same once more, from a queue somewhere"
    )
    assert late.count(Exposure, DocumentFilter({"index_tags": ("aa",)})) == 2


def test_write_expecting_no_document_overwrites_nothing(reopen):
    late, quick = reopen(), reopen()
    read = versions(late, "INC-A:s1", "INC-A:s2")
    assert read == {}
    assert quick.put([exposure("s1", sightings=("f1",))], {}) == [WriteResult.CREATED]
    assert late.put([exposure("s1", sightings=("f2",)), exposure("s2")], read) == [
        WriteResult.CONFLICT,
        WriteResult.CREATED,
    ]
    assert late.get(Exposure, "INC-A:s1").sightings == ("f1",)


def test_document_deleted_since_it_was_read_is_not_restored(reopen):
    late, quick = reopen(), reopen()
    quick.put([exposure("s1")])
    read = versions(late, "INC-A:s1")
    quick.delete(Exposure, ["INC-A:s1"])
    assert late.put([exposure("s1", confidence=90)], read) == [WriteResult.CONFLICT]
    assert late.get(Exposure, "INC-A:s1") is None
    quick.create([exposure("s1", sightings=("f9",))])
    assert late.put([exposure("s1", confidence=90)], read) == [WriteResult.CONFLICT], (
        "another one with its id is not it"
    )


def test_first_of_several_writes_with_one_id_counts(store):
    store.put([exposure("s1")])
    twice = [exposure(subject, confidence=n) for subject in ("s1", "s2") for n in (1, 2)]
    results = store.put(twice, versions(store, "INC-A:s1"))
    assert results == [
        WriteResult.REPLACED,
        WriteResult.CONFLICT,
        WriteResult.CREATED,
        WriteResult.CONFLICT,
    ]
    assert [store.get(Exposure, f"INC-A:{subject}").confidence for subject in ("s1", "s2")] == [
        1,
        1,
    ]


def test_stale_delete_keeps_a_newer_document(reopen):
    late, quick = reopen(), reopen()
    quick.put([exposure("s1"), exposure("s2")])
    read = versions(late, "INC-A:s1", "INC-A:s2")
    quick.put([exposure("s1", sightings=("f", "f1"))])
    assert late.delete(Exposure, ["INC-A:s1", "INC-A:s2", "nobody"], read) == 1
    assert late.mget(Exposure, ["INC-A:s1", "INC-A:s2"]).keys() == {"INC-A:s1"}
    assert late.delete(Exposure, ["INC-A:s1"], {}) == 0, "who saw nothing removes nothing"


def test_concurrent_merges_into_one_document_lose_nothing(reopen):
    stores, start = [reopen() for _ in range(4)], threading.Barrier(4)

    def add(merging_store: IncidentStore, n: int) -> None:
        start.wait()
        for turn in range(10):
            result = WriteResult.CONFLICT
            while result is WriteResult.CONFLICT:
                read = merging_store.read(Exposure, ["INC-A:s1"])
                before = read["INC-A:s1"].document.sightings if read else ()
                merged = exposure("s1", sightings=(*before, f"f{n}-{turn}"))
                (result,) = merging_store.put(
                    [merged], {id_: stored.version for id_, stored in read.items()}
                )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, stores, range(4)))
    assert sorted(stores[0].get(Exposure, "INC-A:s1").sightings) == sorted(
        f"f{n}-{turn}" for n in range(4) for turn in range(10)
    )


def test_replaced_words_and_values_are_no_longer_found(store):
    store.put([incident(titles=("旧标题",), sites=("forum",), severity="low")])
    store.put([incident(titles=("新标题",), sites=("paste",), severity="high")])
    assert find_ids(store, text="旧标题") == find_ids(store, text="旧") == []
    assert find_ids(store, text="新标题") == find_ids(store, text="标题") == ["INC-A"]
    assert (
        find_ids(store, equals={"sites": ("forum",)})
        == find_ids(store, equals={"severity": ("low",)})
        == []
    )
    assert find_ids(store, equals={"sites": ("paste",), "severity": ("high",)}) == ["INC-A"]


CHINESE = {
    "INC-1": "出售银行客户信息",
    "INC-2": "银行卡 四件套",
    "INC-3": "客户经理招聘，信息部",
    "INC-4": "VIP 信 息 list 2026",
}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("银", "12"), ("信", "134"), ("套", "2"), ("龙", ""),
        ("银行", "12"), ("客户", "13"), ("信息", "13"), ("户银", ""),
        ("客户信", "1"), ("银行客", "1"), ("四件套", "2"), ("行客卡", ""),
        ("出售银行客户信息", "1"), ("客户 信息", "13"), ("招聘信息", ""), ("聘信", ""),
        ("vip", "4"), ("VIP", "4"), ("ＶＩＰ", "4"), ("vi", ""), ("2026", "4"), ("银行卡VIP", ""),
        ("list 信", "4"),
    ],
)  # fmt: skip
def test_free_text_finds_chinese_of_any_length(store, query, ids):
    store.put([incident(id_, titles=(title,)) for id_, title in CHINESE.items()])
    assert {id_[-1] for id_ in find_ids(store, text=query)} == set(ids)


def test_phrase_does_not_span_two_fields(store):
    store.put([incident(titles=("出售客户", "户名大全"), authors=("全国",))])
    assert (
        find_ids(store, text="户户")
        == find_ids(store, text="客户户名")
        == find_ids(store, text="大全全国")
        == []
    )
    assert find_ids(store, text="客户 户名 全国") == ["INC-A"]


@pytest.mark.parametrize(
    "query",
    [
        "*",
        '"',
        "客户*",
        'NEAR("a" "b")',
        "words:客户",
        "客户 OR 龙",
        "NOT 客户",
        "^客户",
        "%",
        "a' or '1'='1",
        "(((",
    ],
)
def test_no_character_in_a_query_is_an_operator(store, query):
    store.put([incident(titles=("客户",)), incident("INC-B", titles=("龙",))])
    letters = [c for c in query if c.isalnum()]
    expected = ["INC-A"] if "".join(letters) == "客户" else []
    assert find_ids(store, text=query) == expected


def test_too_long_query_is_rejected_and_not_echoed(store):
    with pytest.raises(
        QueryError, match="the query is longer than 200 characters: use fewer words"
    ) as caught:
        store.search(Incident, DocumentFilter(text="客" * 1_000_000))
    assert "客" not in str(caught.value)


def test_search_sorts_by_newest_then_by_id(store):
    store.put(
        [incident("INC-B", 1), incident("INC-A", 1), incident("INC-C", 2), incident("INC-D", 0)]
    )
    assert find_ids(store) == ["INC-C", "INC-B", "INC-A", "INC-D"]


def test_paging_continues_after_the_last_item_despite_additions(store):
    store.put([incident(f"INC-{n}", n) for n in range(7)])
    store.refresh()
    first = store.search(Incident, DocumentFilter(), 3)
    store.put([incident("INC-new", 100), incident("INC-5b", 5)])
    store.delete(Incident, ["INC-4"])
    store.refresh()
    following, after = [], first.after
    while after:
        page = store.search(Incident, DocumentFilter(), 2, after)
        following += [document.id for document in page.items]
        after = page.after
    assert [document.id for document in first.items] == ["INC-6", "INC-5", "INC-4"]
    assert following == ["INC-3", "INC-2", "INC-1", "INC-0"]


@pytest.mark.parametrize("mark", ["x", "1;drop table incident", "9" * 40 + ".a", "٣.a", ".", "12"])
def test_foreign_page_cursor_is_rejected(store, mark):
    with pytest.raises(QueryError):
        store.search(Incident, DocumentFilter(), 10, mark)


def test_page_has_at_most_500_items(store):
    store.put([incident(f"INC-{n:04d}", n) for n in range(501)])
    store.refresh()
    page = store.search(Incident, DocumentFilter(), 10**9)
    assert len(page.items) == 500
    assert page.after


def test_counts_are_exact_under_every_filter(store):
    store.put(
        [
            incident(
                f"INC-{n}",
                n,
                severity="high" if n % 3 else "low",
                tenant="bank" if n % 2 else "shop",
            )
            for n in range(30)
        ]
    )
    store.refresh()
    assert store.count(Incident, DocumentFilter()) == 30
    assert store.count(Incident, DocumentFilter({"severity": ("high",)})) == 20
    assert (
        store.count(Incident, DocumentFilter({"severity": ("high", "low"), "tenant": ("shop",)}))
        == 15
    )
    assert store.count(Incident, DocumentFilter(before=T0 + timedelta(minutes=10))) == 10
    assert store.count(Incident, DocumentFilter(ids=["INC-1", "INC-2", "nobody"])) == 2
    assert store.count(Incident, DocumentFilter(without=["INC-1", "INC-2"])) == 28
    assert store.count(Incident, DocumentFilter(ids=[])) == 0
    assert store.count(Incident, DocumentFilter({"severity": ()})) == 0


def test_documents_are_found_by_value_prefix(store):
    store.put([exposure(subject) for subject in ("ab", "abc", "ab客", "aC", "Abc", "b", "a")])
    store.refresh()
    begins = DocumentFilter(begins={"subject": "ab"})
    assert sorted(exposure_.subject for exposure_ in store.scroll(Exposure, begins)) == [
        "ab",
        "abc",
        "ab客",
    ]
    assert store.count(Exposure, begins) == 3
    assert (
        store.count(Exposure, DocumentFilter({"subject": ("abc", "b")}, begins={"subject": "ab"}))
        == 1
    )
    with pytest.raises(QueryError):
        store.count(Exposure, DocumentFilter(begins={"doc": "x"}))


STAGES, SELLERS = ("open", "closed", "part"), ("@a", "@b", "@c", "@d")


def item(n: int, **changes: Any) -> WorkItem:
    """Return a work item that differs from its neighbours in everything."""
    fields: dict[str, Any] = {
        "id": f"INC-{n:03}", "tenant": ("bank", "shop")[n % 2],
        "opened_at": T0 + timedelta(hours=n * 7 % 100),
        "stage": STAGES[n % 3], "status": "open", "severity": ("low", "high")[n // 2 % 2],
        "origin": "unknown",
        "scenario": ("", "loan")[n // 3 % 2], "sites": ("paste",), "kinds": ("phone",),
        "assignee": ("", "Li")[n // 4 % 2],
        "series": (SELLERS[n % 4],) if n % 5 else (), "exposure": n % 10, "customers": n * 3,
        "texts": ("一批客户资料", "银行")[n % 2 :],
    }  # fmt: skip
    return WorkItem(**{**fields, **changes})


ITEMS = [item(n) for n in range(120)]
ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "columns": {"equals": {"stage": ("open",), "tenant": ("bank",)}},
    "one of several": {"equals": {"stage": ("open", "closed")}},
    "set": {"equals": {"series": ("@b",)}},
    "set and column": {"equals": {"kinds": ("phone",), "severity": ("high",)}},
    "not in a set": {"differs": {"series": ("@a", "@b")}},
    "words": {"text": "客户"},
    "words and set": {"text": "银行", "equals": {"series": ("@c", "@d"), "stage": ("open",)}},
    "time": {"since": T0 + timedelta(hours=20), "before": T0 + timedelta(hours=60)},
    "number": {"at_most": {"customers": 90}},
    "ids": {"ids": ("INC-001", "INC-002", "INC-007")},
    "nothing": {"equals": {"status": ("resolved",)}},
}


def fitting(where: DocumentFilter) -> list[WorkItem]:
    """Return the items that fit, found by a plain loop."""

    def fits(candidate: WorkItem) -> bool:
        def has(name: str, values: Any) -> bool:
            actual = getattr(candidate, name)
            return actual in values if isinstance(actual, str) else not {*actual}.isdisjoint(values)

        return (
            all(has(name, values) for name, values in where.equals.items())
            and not any(has(name, values) for name, values in where.differs.items())
            and all(getattr(candidate, name) <= most for name, most in where.at_most.items())
            and (where.since is None or candidate.opened_at >= where.since)
            and (where.before is None or candidate.opened_at < where.before)
            and (where.ids is None or candidate.id in where.ids)
            and where.text in "".join(candidate.texts)
        )

    return [candidate for candidate in ITEMS if fits(candidate)]


@pytest.fixture(params=["few", "many"])
def items(
    store: IncidentStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> IncidentStore:
    """Return a store of `ITEMS`.

    Every condition leaves few enough to be collected, or none does.
    """
    if request.param == "many":
        monkeypatch.setattr("alerts.store.sqlite_queries.FEW", -1)
    store.put(ITEMS)
    store.refresh()
    return store


@pytest.mark.parametrize("asked", ASKED)
def test_every_query_is_counted_tallied_and_sorted_correctly(items, asked):
    where = DocumentFilter(**ASKED[asked])
    expected = fitting(where)
    parts = (
        DocumentFilter(),
        DocumentFilter({"assignee": ("Li",)}),
        DocumentFilter(at_most={"customers": 60}, since=T0 + timedelta(hours=30)),
    )
    counted = [len(expected), sum(item_.assignee == "Li" for item_ in expected)]
    counted.append(
        sum(
            item_.customers <= 60 and item_.opened_at >= T0 + timedelta(hours=30)
            for item_ in expected
        )
    )
    assert items.counts(WorkItem, where, parts) == counted
    assert items.count(WorkItem, where) == len(expected)
    groups = {(item_.tenant, item_.severity) for item_ in expected}
    assert {
        tally.values: (tally.count, tally.total)
        for tally in items.tally(WorkItem, where, ("tenant", "severity"), "customers")
    } == {
        group: (len(of), sum(item_.customers for item_ in of))
        for group in groups
        if (of := [item_ for item_ in expected if (item_.tenant, item_.severity) == group])
    }
    for order in ("burns", "-customers", "time"):
        by = order.removeprefix("-").replace("time", "opened_at")
        in_order = sorted(
            expected, key=lambda one: (getattr(one, by), one.id), reverse=order.startswith("-")
        )
        paged, after = list[str](), ""
        while page := items.search(WorkItem, where, 7, after, order):
            paged += [item_.id for item_ in page.items]
            if not (after := page.after):
                break
        assert paged == [item_.id for item_ in in_order]
        firsts = items.firsts(WorkItem, where, "series", SELLERS, order)
        theirs = {
            seller: [item_.id for item_ in in_order if seller in item_.series] for seller in SELLERS
        }
        assert firsts == {seller: First(ids[0], len(ids)) for seller, ids in theirs.items() if ids}


def test_time_spans_are_counted_separately_without_their_end(items):
    moments = [
        T0,
        T0 + timedelta(hours=5),
        T0 + timedelta(hours=6),
        T0 + timedelta(hours=40),
        T0 + timedelta(hours=49),
    ]
    tallies = items.tally(WorkItem, DocumentFilter({"tenant": ("bank",)}), ("stage",), "", moments)
    expected = {
        (span, stage): count
        for span, (start, next_) in enumerate(pairwise(moments))
        for stage in STAGES
        if (
            count := sum(
                i.tenant == "bank" and i.stage == stage and start <= i.opened_at < next_
                for i in ITEMS
            )
        )
    }
    assert {(tally.span, *tally.values): tally.count for tally in tallies} == expected
    assert sum(
        tally.count for tally in items.tally(WorkItem, DocumentFilter(), (), "", moments)
    ) == len(fitting(DocumentFilter(since=T0, before=moments[-1])))


def test_unsupported_tally_is_rejected(items):
    for search in (
        lambda: items.tally(WorkItem, DocumentFilter(), ("sites",)),
        lambda: items.firsts(WorkItem, DocumentFilter(), "stage", "x", ""),
    ):
        with pytest.raises(QueryError, match="no filter"):
            search()
    with pytest.raises(QueryError, match="sorted"):
        items.tally(WorkItem, DocumentFilter(), ("stage",), "rows")
    assert items.firsts(WorkItem, DocumentFilter(), "series", (), "burns") == {}


def test_too_many_tally_combinations_are_rejected(items, monkeypatch):
    for module in ("sqlite", "elasticsearch"):
        monkeypatch.setattr(f"alerts.store.{module}.MAX_TALLIES", 3)
    with pytest.raises(QueryError, match="more than"):
        items.tally(WorkItem, DocumentFilter(), ("stage", "tenant"))


def test_set_is_found_by_any_of_its_values(store):
    store.put([exposure("a", index_tags=("t1", "t2")), exposure("b", index_tags=("t2", "t3"))])
    store.refresh()
    by_tag = {
        tag: {e.subject for e in store.scroll(Exposure, DocumentFilter({"index_tags": (tag,)}))}
        for tag in ("t1", "t2", "t4")
    }
    assert by_tag == {"t1": {"a"}, "t2": {"a", "b"}, "t4": set()}


def test_scroll_returns_each_document_once(store):
    store.put([exposure(str(n)) for n in range(2203)])
    store.refresh()
    subjects = [e.subject for e in store.scroll(Exposure, DocumentFilter({"incident": ("INC-A",)}))]
    assert len(subjects) == len(set(subjects)) == 2203


class ExposureExcerpt(Excerpt):
    """What the tests take out of an exposure."""

    subject: str
    first_seen: datetime
    groups: tuple[tuple[str, ...], ...]


class MissingField(Excerpt):
    """What no exposure has."""

    heading: str


SOME = [
    DocumentFilter(),
    DocumentFilter({"tenant": ("bank",)}),
    DocumentFilter(since=T0 + timedelta(minutes=3)),
    DocumentFilter({"kinds": ("card",)}),
]


@pytest.mark.parametrize(
    ("where", "many"), [*((filter_, 7) for filter_ in SOME), (SOME[0], 5203), (SOME[2], 5203)]
)
def test_excerpts_cover_the_documents_that_scroll_returns(store, where, many):
    kinds = {"kinds": ("card",)}
    store.put([exposure(f"s{n:04}", minutes=n, **(kinds if n % 3 else {})) for n in range(many)])
    store.refresh()
    whole = sorted((e.id, e.subject, e.first_seen, e.groups) for e in store.scroll(Exposure, where))
    short = sorted(
        (e.id, e.subject, e.first_seen, e.groups)
        for e in store.excerpts(Exposure, where, ExposureExcerpt)
    )
    assert short == whole
    assert len(whole) > 1


class IncidentExcerpt(Excerpt):
    """What the tests take out of an incident."""

    publish_seconds: float | None
    incomplete: tuple[str, ...] = ()


@pytest.mark.parametrize("many", [3, 5_203])
def test_brief_excerpt_equals_that_of_the_document(store, monkeypatch, many):
    """Of a document whose excerpt is too long to be kept apart."""
    incidents = [
        incident(f"INC-{n:04}", n, publish_seconds=n / 3 or None, incomplete=("size",) * (n % 2))
        for n in range(many)
    ]
    with monkeypatch.context() as earlier:
        earlier.setattr(Incident, "brief", ())
        store.put(incidents[:2])
    long = incident("INC-LONG", incomplete=("size" * 10_000,))
    store.put([*incidents[2:], long])
    store.refresh()
    excerpts = [
        (excerpt.id, excerpt.publish_seconds, excerpt.incomplete)
        for excerpt in store.excerpts(Incident, DocumentFilter(), IncidentExcerpt)
    ]
    assert sorted(excerpts) == [
        (incident_.id, incident_.publish_seconds, incident_.incomplete)
        for incident_ in (*incidents, long)
    ]


def test_excerpt_of_a_missing_field_is_damage_not_blank(store):
    store.put([exposure("s1")])
    store.refresh()
    with pytest.raises(CorruptError, match=r"Exposure INC-A:s1 is damaged"):
        list(store.excerpts(Exposure, DocumentFilter(), MissingField))


def test_unsupported_filter_is_an_error(store):
    with pytest.raises(QueryError, match="Incident has no filter doc"):
        store.count(Incident, DocumentFilter({"doc": ("x",)}))
    with pytest.raises(QueryError, match="Incident has no filter doc"):
        store.tally(Incident, DocumentFilter(), ("tenant", "doc"))
    with pytest.raises(QueryError, match="Exposure has no full-text search"):
        store.search(Exposure, DocumentFilter(text="客户"))
    with pytest.raises(TypeError):
        store.count(Incident, DocumentFilter({"tenant": "bank"}))


def test_deleted_document_is_not_found(store):
    store.put([incident(), incident("INC-B", 1)])
    store.refresh()
    assert store.delete(Incident, ["INC-A", "nobody"]) == 1
    assert [incident_.id for incident_ in store.scroll(Incident, DocumentFilter())] == ["INC-B"], (
        "at once"
    )
    assert store.get(Incident, "INC-A") is None
    assert (
        find_ids(store, text="客户") == find_ids(store, equals={"sites": ("paste",)}) == ["INC-B"]
    )
    assert store.create([incident()]) == [True]


SECRET_WORDS = ("zzyzxword", "鑫森淼焱垚")


def files_hold(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["delete", "put"])
def test_erased_document_leaves_nothing_in_the_files(store, backend, tmp_path, how):
    if not backend.own_files:
        pytest.skip(f"{backend.name} keeps no files of its own here")
    ordinary = [incident(f"INC-{n}", n, titles=(f"普通标题 number{n}",)) for n in range(200)]
    secret = incident(
        "INC-X", titles=(f"{SECRET_WORDS[0]} {SECRET_WORDS[1]}",), sites=("gonesite",)
    )
    store.put([*ordinary[:100], secret, *ordinary[100:]])
    assert files_hold(tmp_path, "zzyzxword")
    # overwriting erases the former words too, once something is deleted or the log is emptied
    if how == "put":
        store.put([incident("INC-X", titles=("新",))])
        store.delete(Incident, ["INC-0"])
    else:
        store.delete(Incident, ["INC-X"])
    for text in (*SECRET_WORDS, "鑫森", "森淼", "gonesite"):
        assert not files_hold(tmp_path, text), text
    store.close()
    assert not files_hold(tmp_path, "zzyzxword")


def test_append_only_records_keep_their_first_form(store):
    first = Decision(
        id="INC-A:1", tenant="bank", incident="INC-A", at=T0, by="Li", status="confirmed"
    )
    assert store.create([first]) == [True]
    assert store.create([first.model_copy(update={"status": "resolved"})]) == [False]
    assert store.get(Decision, "INC-A:1") == first


def test_many_threads_share_one_store(store):
    def work(n: int) -> list[int]:
        return [
            store.count(Incident, DocumentFilter(text="客户"))
            for i in range(25)
            if store.put([incident(f"INC-{n}-{i}", i)])
        ]

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(work, range(4)))
    assert all(ascending == sorted(ascending) for ascending in counts)
    store.refresh()
    assert store.count(Incident, DocumentFilter(text="客户")) == 100


def test_two_processes_can_write_at_once(reopen):
    """A reader that becomes a writer waits for the other instead of failing."""
    first, second = reopen(), reopen()
    results = list[list[WriteResult]]()

    def work(store_: IncidentStore, name: str) -> None:
        results.extend(
            store_.put([incident(f"{name}-{n}"), incident("INC-shared")]) for n in range(20)
        )

    threads = [
        threading.Thread(target=work, args=(store_, name))
        for store_, name in ((first, "a"), (second, "b"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    first.refresh()
    assert first.count(Incident, DocumentFilter()) == 41


def test_unknown_scheme_is_rejected_with_a_suggestion(tmp_path):
    with pytest.raises(ConfigError, match="sqlite:///"):
        open_store("mongodb://x", tmp_path)


def test_damaged_file_is_never_reset(tmp_path):
    path = tmp_path / "incidents.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(CorruptError):
        open_store("sqlite:///incidents.sqlite", tmp_path)
    assert path.read_bytes().startswith(b"not a database")


def test_unwritable_folder_makes_the_store_unavailable(tmp_path):
    (tmp_path / "incidents.sqlite").mkdir()
    with pytest.raises((UnavailableError, CorruptError)):
        open_store("sqlite:///incidents.sqlite", tmp_path)


def test_every_class_of_document_can_be_stored(store):
    """A record class with no fields to index beyond its own still round-trips."""
    documents: list[Document] = [incident(), exposure("a"), claim("1")]
    store.put(documents)
    assert [store.get(type(d), d.id) for d in documents] == documents
