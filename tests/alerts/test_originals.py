"""What people need to reach a post is sealed, kept as long as it is useful, and shown on purpose
alone.
"""

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from alerts.cases.evidence import ACTION, Reveals
from alerts.records import Exposure, Hold, Incident, Original, incident_id
from alerts.service.metrics import AlertMetrics
from alerts.service.upkeep import erase, expire
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import clocks_at
from ullage import custody
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import entries
from ullage.cli import app
from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.records import Finding
from ullage.security import keys
from ullage.settings import Context, StoreSettings

POST = custody.SealedPost(
    url="http://board.example/诸葛/154018880001",
    title="诸葛文昭 密码",
    author="zhuge_1888",
    members={2: "a.zip!/诸葛_身份证.csv"},
)
IDENTIFYING = ("诸葛", "zhuge", "154018880001")


def sealed(context: Context, found: Finding, post: custody.SealedPost = POST) -> Finding:
    sealer = keys.desk_sealer(context.keys, found.tenant)
    assert sealer
    original = custody.seal(post, sealer, found.tenant, found.id)
    return found.model_copy(update={"original": original, "original_key": sealer.key_id})


@pytest.fixture
def desk(context: Context) -> Context:
    keys.make_tenant(context.keys, "bank")
    (context.data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    return context


@pytest.fixture
def leak(desk: Context, store, clock) -> str:
    """An incident of two sightings, `low` or above; its id."""
    first = sealed(
        desk, finding("f", range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
    )
    again = finding("g", range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
    fold_all(
        store,
        clock,
        [first, sealed(desk, again, POST.model_copy(update={"url": "http://board.example/2"}))],
    )
    assert store.get(Incident, incident_id("f")).severity not in ("noise", "notice")
    return incident_id("f")


def run(
    context: Context,
    *words: str,
    reason: str = "takedown",
    refused: type[UllageError] | None = None,
) -> str:
    """What the command printed, or the error that it ended with."""
    words = (
        "--data",
        str(context.data),
        "evidence",
        "open",
        *words,
        "--case",
        "C-1",
        "--reason",
        reason,
        "--by",
        "Li",
    )
    result = CliRunner().invoke(app, words)
    if refused is None:
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output
    assert isinstance(result.exception, refused)
    assert "board.example" not in result.output
    return str(result.exception)


def audited(context: Context) -> list[str]:
    return [entry.object for _, entry in entries(context.data / AUDIT) if entry.action == ACTION]


def test_addresses_of_an_incident_come_in_one_step_and_the_audit_log_has_it(
    desk: Context, leak: str
) -> None:
    said = run(desk, leak)
    assert POST.url in said
    assert "http://board.example/2" in said
    assert "zhuge" not in said
    assert audited(desk) == [f"url of {leak}: 2 sightings"]


@pytest.mark.parametrize(
    ("option", "field", "shown"),
    [("--title", "title", "诸葛文昭 密码"), ("--author", "author", "zhuge_1888")],
)
def test_a_title_or_an_author_is_shown_of_one_sighting(
    desk: Context, leak: str, option: str, field: str, shown: str
) -> None:
    said = run(desk, leak, option, "f")
    assert shown in said
    assert audited(desk) == [f"{field} of {leak}: sighting f"]


def test_a_sighting_is_named_by_the_beginning_of_its_id(desk: Context, store, clock) -> None:
    alike = [
        finding(name, range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
        for name in ("ab1", "ab2")
    ]
    fold_all(store, clock, [sealed(desk, one) for one in alike])
    assert "zhuge" in run(desk, incident_id("ab1"), "--author", "ab2")
    assert "2 sightings begin with this" in run(
        desk, incident_id("ab1"), "--author", "ab", refused=ConfigError
    )


def test_names_of_members_are_shown_with_their_numbers(desk: Context, leak: str) -> None:
    assert "2: a.zip!/诸葛_身份证.csv" in run(desk, leak, "--names", "f")


def test_nothing_is_shown_when_the_audit_log_cannot_take_it(desk: Context, leak: str) -> None:
    assert "phone number" in run(desk, leak, reason="of 15401888000", refused=ConfigError)
    assert audited(desk) == []


def test_several_at_once_are_refused(desk: Context, leak: str) -> None:
    assert "one at a time" in run(desk, leak, "--title", "f", "--author", "f", refused=ConfigError)


def test_without_the_desks_key_nothing_is_shown(desk: Context, leak: str) -> None:
    for path in (desk.keys.root / "bank").glob("console.key*"):
        path.unlink()
    assert "console.key" in run(desk, leak, refused=ConfigError)


def test_it_can_be_switched_off(desk: Context, leak: str) -> None:
    (desk.data / "ullage.toml").write_text("[originals]\ndays = 0\n")
    assert "originals.days is 0" in run(desk, leak, refused=ConfigError)


def test_nothing_in_the_store_shows_it(desk: Context, leak: str) -> None:
    for path in desk.data.glob("incidents.sqlite*"):
        assert not any(word.encode() in path.read_bytes() for word in IDENTIFYING)


def test_what_is_less_than_low_keeps_none(desk: Context, store, clock) -> None:
    fold_all(store, clock, [sealed(desk, finding("n", range(3)))])
    assert store.get(Incident, incident_id("n")).severity in ("noise", "notice")
    assert store.count(Original, DocumentFilter()) == 0


def test_they_go_after_thirty_days_unless_the_incident_is_held(
    desk: Context, store, clock, leak: str
) -> None:
    clock.advance(29 * 86400)
    expire(store, StoreSettings(), clocks_at(desk.clock.now()))
    assert store.count(Original, DocumentFilter()) == 2
    now = desk.clock.now()
    hold = Hold(
        id=f"{leak}:1", tenant="bank", incident=leak, at=now, by="Li", case="C", reason="court"
    )
    store.create([hold])
    clock.advance(2 * 86400)
    expire(store, StoreSettings(), clocks_at(desk.clock.now()))
    assert store.count(Original, DocumentFilter()) == 2
    store.create(
        [
            hold.model_copy(
                update={"id": f"{leak}:2", "at": now + timedelta(seconds=1), "released": True}
            )
        ]
    )
    expire(store, StoreSettings(), clocks_at(desk.clock.now()))
    assert store.count(Original, DocumentFilter()) == 0
    assert store.count(Exposure, DocumentFilter()) == 12


def test_erasing_a_subject_drops_those_of_its_sightings_and_no_others(
    desk: Context, store, clock, leak: str
) -> None:
    apart = sealed(
        desk,
        finding("h", range(100, 110), people="mnopqrstuvwx", kinds=("phone", "card"), verified=12),
    )
    fold_all(store, clock, [apart])
    assert store.count(Original, DocumentFilter()) == 3
    erase(store, "bank", handle("a"))
    assert [one.id for one in store.scroll(Original, DocumentFilter())] == ["h"]


def test_what_is_sealed_opens_as_no_other_findings(desk: Context, store, leak: str) -> None:
    one, other = (store.get(Original, name) for name in "fg")
    store.put([one.model_copy(update={"sealed": other.sealed})])
    assert "damaged" in run(desk, leak, refused=CorruptError)
    assert audited(desk) == []


def test_reveals_are_counted_a_person_and_a_shift(desk: Context, clock) -> None:
    reveals, trail = Reveals.of(desk), desk.trail()
    assert reveals.most(desk.clock.now()) == 0
    for who in ("Li", "Li", "Wang"):
        trail.append(ACTION, "url of INC-A: 1 sightings", actor=who, tenant="bank")
    assert reveals.most(desk.clock.now()) == 2
    clock.advance(8 * 3600 + 1)
    assert reveals.most(desk.clock.now()) == 0


def test_both_sides_of_the_alarm_are_metrics(registry, clock) -> None:
    metrics = AlertMetrics(registry, [], clock.as_clock())
    metrics.revealed.set(21)
    metrics.reveals_allowed.set(20)
    assert registry.get_sample_value("ullage_alert_originals_revealed") == 21
    assert registry.get_sample_value("ullage_alert_originals_allowed") == 20
