"""What background rules would have hidden: posts of a time, by incident and what people said of it; nothing is written."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from alerts.decisions.command import duties_of
from alerts.decisions.decide import Decisions
from alerts.noise.background import BACKGROUND, Rules, shipped
from alerts.records import Background, Incident, Sighting
from alerts.records.traits import Traits
from alerts.rules.command import app
from alerts.rules.dry import dry_run
from alerts.store import Where
from tests.alerts.builders import finding, fold_all, handle

WIDE = """
version = 99
[[rule]]
id = "B90"
title = "everything of a shop"
title_zh = "商店"
reason = "a test"
kinds = ["phone"]
candidates = 1
fields = []
jargon = ["*"]
"""
PLAIN = Traits(category="", candidates={"phone": 1}, fields=(), jargon={}, context={}, rows=1, subjects=1, own_fields=1)


@pytest.fixture
def raised(store, clock):
    """Three incidents; of two of them a post is nothing but one number."""
    fold_all(
        store,
        clock,
        [finding(f"f{n}", range(n * 50, n * 50 + 10), [handle(f"{n}")], capture={"title": "内料"}) for n in range(3)],
    )
    sightings = sorted(store.scroll(Sighting, Where()), key=lambda one: one.id)
    store.put([one.model_copy(update={"traits": PLAIN if n < 2 else None}) for n, one in enumerate(sightings)])
    store.refresh()
    return [one.incident for one in sightings]


def rules() -> Rules:
    return BACKGROUND.read(WIDE, "a test")


def test_posts_of_incidents_are_counted_with_what_people_said_of_them(raised, store, clock, context) -> None:
    decide = Decisions(duties_of(context, store), context.trail())
    decide.make(store.get(Incident, raised[0]), "false_positive", by="Li Wei")
    decide.make(store.get(Incident, raised[1]), "confirmed", by="Li Wei")
    store.refresh()
    found = dry_run(store, rules(), context.clock.now() - timedelta(days=1))
    (one,) = found.rules
    assert (one.raised, one.incidents, one.whole, one.real, one.false, one.precision) == (2, 2, 2, 1, 1, 0.5)
    assert set(one.examples) == set(raised[:2])
    assert (found.posts, found.unknown) == (3, 1)


def test_what_is_older_does_not_count_and_what_shows_a_leak_is_never_hidden(raised, store, clock, context) -> None:
    assert dry_run(store, rules(), context.clock.now() + timedelta(seconds=1)).rules[0].raised == 0
    leak = PLAIN.model_copy(update={"subjects": 2})
    store.put([one.model_copy(update={"traits": leak}) for one in store.scroll(Sighting, Where())])
    store.refresh()
    assert dry_run(store, rules(), context.clock.now() - timedelta(days=1)).rules[0].raised == 0


def test_nothing_is_written_and_the_page_says_what_the_command_says(raised, browser, context, store, tmp_path) -> None:
    before = [list(store.scroll(kind, Where())) for kind in (Incident, Sighting, Background)]
    page = browser.post("/rules/dry", {"text": WIDE, "days": "30"})
    assert page.status_code == 200
    file = tmp_path / "background.toml"
    file.write_text(WIDE, encoding="utf-8")
    told = json.loads(CliRunner().invoke(app, ["dry", str(file), "--json"], obj=context, catch_exceptions=False).stdout)
    assert (told["posts"], told["unknown"], told["rules"][0]["raised"]) == (3, 1, 2)
    for incident in told["rules"][0]["examples"]:
        assert f'href="/incidents/{incident}"' in page.text
    assert "everything of a shop" in page.text
    assert "nothing would be left of 2" in page.text
    store.refresh()
    assert [list(store.scroll(kind, Where())) for kind in (Incident, Sighting, Background)] == before
    plain = CliRunner().invoke(app, ["dry", str(file)], obj=context, catch_exceptions=False).stdout
    assert "Nothing was written" in plain


def test_the_page_has_the_rules_in_force_without_being_asked(raised, browser) -> None:
    page = browser.get("/rules?days=7").text
    assert "over 3 posts of the last 7 days" in page
    for rule in shipped().rule:
        assert f"<code>{rule.id}</code>" in page


@pytest.mark.parametrize("text", ["", "version = 1", "nonsense = [", WIDE.replace("B90", "X90")])
def test_rules_that_are_none_are_refused_and_stay_in_the_form(raised, browser, text) -> None:
    page = browser.post("/rules/dry", {"text": text, "days": "30"})
    assert page.status_code == 400
    assert 'role="alert"' in page.text


def test_an_account_of_another_tenant_sees_none_of_these_posts(raised, log_in, context) -> None:
    from ullage.security import keys

    keys.make_tenant(context.keys, "zetalend")
    page = log_in("analyst", tenants=["zetalend"]).post("/rules/dry", {"text": WIDE, "days": "30"}).text
    assert "over 0 posts" in page
    assert not any(incident in page for incident in raised)


def test_an_incident_with_an_older_post_would_not_be_gone(raised, store, context) -> None:
    now = context.clock.now()
    first, second = (next(store.scroll(Sighting, Where({"incident": (one,)}))) for one in raised[:2])
    store.put([first.model_copy(update={"id": "older", "folded_at": now - timedelta(days=9), "traits": None})])
    store.refresh()
    (rule,) = dry_run(store, rules(), now - timedelta(days=1)).rules
    assert (rule.raised, rule.incidents, rule.whole, rule.examples[0]) == (2, 2, 1, second.incident)
