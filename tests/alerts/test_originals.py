"""What people need to reach a post is sealed, kept as long as it is useful, and shown on purpose
alone.
"""

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from alerts.cases.evidence import ACTION, Reveals, reveal_addresses
from alerts.records import Exposure, Hold, Incident, Original, incident_id
from alerts.service.metrics import AlertMetrics
from alerts.service.upkeep import erase, expire
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import clocks_at
from ullage import custody
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import read_entries
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


def with_sealed_original(
    context: Context, found: Finding, post: custody.SealedPost = POST
) -> Finding:
    sealer = keys.load_console_sealer(context.keys, found.tenant)
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
    """Store an incident with two sightings of severity `low` or above and return its id."""
    first = with_sealed_original(
        desk, finding("f", range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
    )
    again = finding("g", range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
    fold_all(
        store,
        clock,
        [
            first,
            with_sealed_original(
                desk, again, POST.model_copy(update={"url": "http://board.example/2"})
            ),
        ],
    )
    assert store.get(Incident, incident_id("f")).severity not in ("noise", "notice")
    return incident_id("f")


def run(
    context: Context,
    *words: str,
    reason: str = "takedown",
    refused: type[UllageError] | None = None,
) -> str:
    """Run `ullage evidence open`; return its output, or expect the error `refused`."""
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


def list_audited_objects(context: Context) -> list[str]:
    return [
        entry.object for _, entry in read_entries(context.data / AUDIT) if entry.action == ACTION
    ]


def test_addresses_of_an_incident_are_opened_in_one_audited_step(desk: Context, leak: str) -> None:
    output = run(desk, leak)
    assert POST.url in output
    assert "http://board.example/2" in output
    assert "zhuge" not in output
    assert list_audited_objects(desk) == [f"url of {leak}: 2 sightings"]


def test_console_reveals_the_addresses_of_an_incident_after_an_audit_entry(
    desk: Context, store, leak: str
) -> None:
    shown = reveal_addresses(
        desk, store, leak, by="li", case="C-1", reason="takedown", trail=desk.trail()
    )
    assert sorted(shown.values()) == ["http://board.example/2", POST.url]
    assert {original.id for original in store.scroll(Original, DocumentFilter())} == set(shown)
    assert list_audited_objects(desk) == [f"url of {leak}: 2 sightings"]


def test_console_reveals_no_address_without_an_audit_entry(desk: Context, store, leak: str) -> None:
    with pytest.raises(ConfigError, match="phone number"):
        reveal_addresses(
            desk, store, leak, by="li", case="C-1", reason="15401888000", trail=desk.trail()
        )
    assert list_audited_objects(desk) == []


@pytest.mark.parametrize(
    ("option", "field", "shown"),
    [("--title", "title", "诸葛文昭 密码"), ("--author", "author", "zhuge_1888")],
)
def test_title_or_author_is_shown_for_one_sighting(
    desk: Context, leak: str, option: str, field: str, shown: str
) -> None:
    output = run(desk, leak, option, "f")
    assert shown in output
    assert list_audited_objects(desk) == [f"{field} of {leak}: sighting f"]


def test_sighting_is_named_by_an_id_prefix(desk: Context, store, clock) -> None:
    alike = [
        finding(name, range(10), people="abcdefghijkl", kinds=("phone", "card"), verified=12)
        for name in ("ab1", "ab2")
    ]
    fold_all(store, clock, [with_sealed_original(desk, leak_finding) for leak_finding in alike])
    assert "zhuge" in run(desk, incident_id("ab1"), "--author", "ab2")
    assert "2 sightings begin with this" in run(
        desk, incident_id("ab1"), "--author", "ab", refused=ConfigError
    )


def test_member_names_are_shown_with_their_numbers(desk: Context, leak: str) -> None:
    assert "2: a.zip!/诸葛_身份证.csv" in run(desk, leak, "--names", "f")


def test_nothing_is_shown_without_an_audit_entry(desk: Context, leak: str) -> None:
    assert "phone number" in run(desk, leak, reason="of 15401888000", refused=ConfigError)
    assert list_audited_objects(desk) == []


def test_several_sightings_at_once_are_rejected(desk: Context, leak: str) -> None:
    assert "can be shown at a time" in run(
        desk, leak, "--title", "f", "--author", "f", refused=ConfigError
    )


def test_nothing_is_shown_without_the_consoles_key(desk: Context, leak: str) -> None:
    for path in (desk.keys.root / "bank").glob("console.key*"):
        path.unlink()
    assert "console.key" in run(desk, leak, refused=ConfigError)


def test_sealed_originals_can_be_disabled(desk: Context, leak: str) -> None:
    (desk.data / "ullage.toml").write_text("[originals]\ndays = 0\n")
    assert "originals.days is 0" in run(desk, leak, refused=ConfigError)


def test_stored_originals_are_not_readable(desk: Context, leak: str) -> None:
    for path in desk.data.glob("incidents.sqlite*"):
        assert not any(word.encode() in path.read_bytes() for word in IDENTIFYING)


def test_severity_below_low_keeps_no_original(desk: Context, store, clock) -> None:
    fold_all(store, clock, [with_sealed_original(desk, finding("n", range(3)))])
    assert store.get(Incident, incident_id("n")).severity in ("noise", "notice")
    assert store.count(Original, DocumentFilter()) == 0


def test_originals_expire_after_thirty_days_unless_on_hold(
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


def test_erasing_a_customer_deletes_only_their_originals(
    desk: Context, store, clock, leak: str
) -> None:
    apart = with_sealed_original(
        desk,
        finding("h", range(100, 110), people="mnopqrstuvwx", kinds=("phone", "card"), verified=12),
    )
    fold_all(store, clock, [apart])
    assert store.count(Original, DocumentFilter()) == 3
    erase(store, "bank", handle("a"))
    assert [original.id for original in store.scroll(Original, DocumentFilter())] == ["h"]


def test_original_opens_only_for_its_own_finding(desk: Context, store, leak: str) -> None:
    first, second = (store.get(Original, name) for name in "fg")
    store.put([first.model_copy(update={"sealed": second.sealed})])
    assert "damaged" in run(desk, leak, refused=CorruptError)
    assert list_audited_objects(desk) == []


def test_reveals_are_counted_by_person_and_shift(desk: Context, clock) -> None:
    reveals, trail = Reveals.from_context(desk), desk.trail()
    assert reveals.most(desk.clock.now()) == 0
    for who in ("Li", "Li", "Wang"):
        trail.append(ACTION, "url of INC-A: 1 sightings", actor=who, tenant="bank")
    assert reveals.most(desk.clock.now()) == 2
    clock.advance(8 * 3600 + 1)
    assert reveals.most(desk.clock.now()) == 0


def test_reveal_metrics_include_the_limit(registry, clock) -> None:
    metrics = AlertMetrics(registry, [], clock.as_clock())
    metrics.revealed.set(21)
    metrics.reveals_allowed.set(20)
    assert registry.get_sample_value("ullage_alert_originals_revealed") == 21
    assert registry.get_sample_value("ullage_alert_originals_allowed") == 20
