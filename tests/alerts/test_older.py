"""What earlier versions kept of posts' texts is brought under the rule of this one, in a file and in a store of servers."""

import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from alerts.records import CLASSES, TEXT_RULE, Background, Claim, Exposure, Holding, Incident, Sighting, Suppression
from alerts.store import IncidentStore, Where, open_store
from alerts.store.older import DONE, GATHERED, KINDS, bring_up, brought_up, gather, outside
from alerts.store.sqlite import table_of
from tests.alerts.builders import finding, fold_all, value
from tests.alerts.noise.posts import post
from tests.factories import WHEN
from tests.stores import ON_SERVERS, each_backend, empty_store
from ullage.files.database import CHECKED, VFS
from ullage.records import FINDING_SCHEMA, Finding

TEXTS = {
    "title": "出售 一手数据 芝麻开门 <b>诸葛</b>文昭",
    "author": "zhuge_wenzhao",
    "url": "https://zhuge.paste.example/138/0013/8000",
    "post_id": "zhuge-1888",
    "channel": "诸葛文昭的群",
    "thread": "wenzhao",
}
FOURTH, TWELFTH = 4, 12
"""The last versions of the embedded store under which texts were cleaned, and a value was a claim."""
backend = each_backend(*ON_SERVERS)
url = empty_store(CLASSES)
PLANTED = ("芝麻", "诸葛", "文昭", "zhuge", "wenzhao", "0013", "chat of wen", "慕容")


@pytest.fixture
def made(tmp_path: Path, clock) -> IncidentStore:
    """A store whose documents hold what an earlier version would have kept."""
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        fold_all(store, clock, [finding("f", range(10), people="ab"), finding("g", range(90, 99), people="c", site="forum")])
        fold_all(store, clock, [post().model_copy(update={"id": "alone"})])
        yield store


def aged(store: IncidentStore, **texts: object) -> None:
    """As the version before left them: texts of strangers in them, and nothing that says by which rule they are kept."""
    old = {"text_rule": 2, **TEXTS, **texts}
    seen = [s.model_copy(update=old if s.id == "f" else {"text_rule": 2}) for s in store.scroll(Sighting, Where())]
    told = {"titles": (TEXTS["title"],), "authors": ("zhuge_wenzhao", "@0a1b2c3d"), "text_rule": 2}
    site = str(old.get("site", "paste"))
    incidents = [i.model_copy(update={**told, "sites": (site,)}) for i in store.scroll(Incident, Where())]
    alone = [
        b.model_copy(update={"title": TEXTS["title"], "url": TEXTS["url"], "text_rule": 2})
        for b in store.scroll(Background, Where())
    ]
    exposures = [e.model_copy(update={"sites": (site,)}) for e in store.scroll(Exposure, Where())]
    named = {"tenant": "bank", "at": WHEN, "by": "Li", "reason": "known", "expires": WHEN}
    silent = [
        Suppression(id="SUP-A", author="zhuge_wenzhao", **named),
        Suppression(id="SUP-B", channel="诸葛文昭的群", **named),
        Suppression(id="SUP-C", author="@0a1b2c3d", channel="#0a1b2c3d4e5f", site="paste", **named),
        Suppression(id="SUP-D", incident="INC-A", **named),
    ]
    store.put([*seen, *incidents, *alone, *exposures, *silent])


def version_before(path: Path) -> None:
    """Make a file what it was before sellers were found in it."""
    with closing(apsw.Connection(str(path), vfs=VFS)) as file:
        file.execute("pragma secure_delete=on")
        file.execute("delete from sighting_sets where field = 'seller'")
        file.pragma("user_version", CHECKED | FOURTH)


def held(store: IncidentStore) -> str:
    return "".join(document.model_dump_json() for kind in KINDS for document in store.scroll(kind, Where()))


def check(store: IncidentStore) -> None:
    """Nothing of the texts is left, and what is of use still is."""
    assert [word for word in PLANTED if word in held(store)] == []
    seen = store.get(Sighting, "f")
    assert (seen.title, seen.author, seen.url, seen.post_id, seen.channel) == ("出售 一手料 …", "", "…", "", "")
    assert seen.text_rule == TEXT_RULE
    incident = store.get(Incident, seen.incident)
    assert (incident.titles, incident.authors) == (("出售 一手料 …",), ("@0a1b2c3d",))
    assert {one.id for one in store.scroll(Suppression, Where())} == {"SUP-C", "SUP-D"}
    assert store.count(Incident, Where(text="一手料")) == 2
    assert store.count(Incident, Where(text="诸葛")) == 0


def test_a_store_is_brought_up_once(made: IncidentStore) -> None:
    aged(made)
    assert "诸葛" in held(made)
    assert bring_up(made, WHEN) > 0
    check(made)
    assert made.get(Claim, DONE) is not None
    aged(made)
    assert bring_up(made, WHEN) == 0


def test_a_store_on_servers_is_brought_up_by_alert(url: str, tmp_path: Path, clock) -> None:
    with closing(open_store(url, tmp_path)) as store:
        fold_all(store, clock, [finding("f", range(10), people="ab"), finding("g", range(90, 99), people="c", site="forum")])
        store.refresh()
        aged(store)
        store.refresh()
        assert bring_up(store, WHEN) > 0
        store.refresh()
        check(store)
        assert bring_up(store, WHEN) == 0


def test_what_this_version_keeps_is_left_as_it_is(made: IncidentStore) -> None:
    before = held(made)
    assert bring_up(made, WHEN) == 0
    assert held(made) == before


def test_a_file_of_the_version_before_is_brought_up_when_it_is_opened_and_its_bytes_go(
    made: IncidentStore, tmp_path: Path
) -> None:
    aged(made)
    made.close()
    version_before(tmp_path / "incidents.sqlite")
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        check(store)
        written = b"".join(path.read_bytes() for path in tmp_path.glob("incidents.sqlite*"))
        assert [word for word in PLANTED if word.encode() in written] == []


def test_sellers_are_found_in_a_file_of_the_version_before(made: IncidentStore, tmp_path: Path) -> None:
    aged(made, author="@0a1b2c3d")
    made.close()
    version_before(tmp_path / "incidents.sqlite")
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        assert [s.id for s in store.scroll(Sighting, Where({"seller": ("@0a1b2c3d",)}))] == ["f"]


@pytest.mark.parametrize(
    ("site", "platform", "kept"),
    [
        ("paste", "raw_paste", "paste"),
        ("paste", "ingest", "other"),
        ("chat of wen 诸葛", "ingest", "other"),
        ("诸葛文昭", "raw_paste", "other"),
        ("forum", "ingest", "forum"),
    ],
)
def test_a_place_that_another_collector_named_is_other(made: IncidentStore, site: str, platform: str, kept: str) -> None:
    aged(made, site=site, platform=platform)
    bring_up(made, WHEN)
    seen = made.get(Sighting, "f")
    assert seen.site == ("other" if platform == "ingest" else kept)
    assert {name for e in made.scroll(Exposure, Where({"incident": (seen.incident,)})) for name in e.sites} == {kept}
    assert made.get(Incident, seen.incident).sites == (kept,)


def test_places_are_ours_where_crawl_was_there_too(made: IncidentStore) -> None:
    aged(made, site="forum", platform="ingest")
    assert outside(made.scroll(Sighting, Where())) == set()


def test_what_is_kept_under_this_rule_names_no_place_of_another_collector(made: IncidentStore) -> None:
    seen = [one.model_copy(update={"platform": "ingest"}) for one in made.scroll(Sighting, Where())]
    assert seen
    assert outside(seen) == set()
    assert outside(one.model_copy(update={"text_rule": TEXT_RULE - 1}) for one in seen) == {one.site for one in seen}


def test_a_finding_that_still_lay_on_the_bus_is_reduced_when_it_is_read(made: IncidentStore, clock) -> None:
    old = json.loads(finding("h", range(200, 210), people="z").encode())
    old["capture"] |= {**TEXTS, "site": "chat of wen", "category": "慕容"}
    read = Finding.decode(json.dumps(old).encode(), 2)
    facts = read.capture
    assert [word for word in PLANTED if word in read.encode().decode()] == []
    assert (facts.site, facts.category, facts.title, facts.url, facts.author) == ("other", "other", "出售 一手料 …", "…", "")
    assert Finding.decode(read.encode(), FINDING_SCHEMA) == read
    fold_all(made, clock, [read])
    assert made.get(Sighting, "h").title == "出售 一手料 …"


def test_incidents_are_projected_from_older_sightings_without_their_texts(made: IncidentStore, clock) -> None:
    aged(made)
    fold_all(made, clock, [finding("f2", range(10), people="ab", capture={"title": "内料 …"})])
    incident = made.get(Incident, made.get(Sighting, "f2").incident)
    assert incident.sightings == 2
    assert (incident.titles, incident.authors) == (("出售 一手料 …", "内料 …"), ())


def test_every_class_has_a_rule(made: IncidentStore) -> None:
    for kind in KINDS:
        for document in made.scroll(kind, Where()):
            assert brought_up(document, ()) is document, table_of(kind)


def as_claims(store: IncidentStore) -> None:
    """What incidents hold as the twelfth version left it: a claim a value; beside them claims of other things."""
    store.refresh()
    holdings = list(store.scroll(Holding, Where()))
    store.put([
        Claim(id=value, tenant=one.tenant, incident=one.incident, at=one.at) for one in holdings for value in one.values
    ])  # fmt: skip
    store.delete(Holding, [one.id for one in holdings])
    store.put([
        Claim(id=id_, tenant=tenant, incident="", at=WHEN)
        for id_, tenant in (("bank:erased:last", "bank"), ("ullage:erased:bank:1", "ullage:erased"), (DONE, ""))
    ])  # fmt: skip
    store.refresh()


def check_holdings(store: IncidentStore, before: dict[str, str], clock) -> None:
    """Each value is held by the incident that it was of, the other claims stay, and a copy of the post joins it."""
    store.refresh()
    assert {v: one.incident for one in store.scroll(Holding, Where()) for v in one.values} == before
    assert {claim.id for claim in store.scroll(Claim, Where())} - {GATHERED} == {"bank:erased:last", "ullage:erased:bank:1", DONE}
    store.delete(Claim, ["bank:erased:last"])
    fold_all(store, clock, [finding("again", range(10), people="xyz")])
    assert store.get(Sighting, "again").incident == before["bank:candidates:" + value(1)]


def test_claims_of_a_file_of_the_version_before_are_gathered(made: IncidentStore, tmp_path: Path, clock) -> None:
    before = {v: one.incident for one in made.scroll(Holding, Where()) for v in one.values}
    as_claims(made)
    made.close()
    with closing(apsw.Connection(str(tmp_path / "incidents.sqlite"), vfs=VFS)) as file:
        file.execute("drop table holding; drop table holding_sets")
        file.pragma("user_version", CHECKED | TWELFTH)
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        check_holdings(store, before, clock)


def test_claims_in_a_store_on_servers_are_gathered_once_by_alert(url: str, tmp_path: Path, clock) -> None:
    with closing(open_store(url, tmp_path)) as store:
        fold_all(store, clock, [finding("f", range(10), people="ab"), finding("g", range(90, 99), people="c", site="forum")])
        before = {v: one.incident for one in store.scroll(Holding, Where()) for v in one.values}
        as_claims(store)
        assert gather(store, WHEN) == len(before) == 10 + 9 + 2
        assert gather(store, WHEN) == 0
        check_holdings(store, before, clock)
