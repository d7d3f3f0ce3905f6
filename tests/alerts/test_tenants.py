"""A tenant that is not known is an error of every command, page and route that takes one."""

import pytest
from typer.testing import CliRunner

from alerts.cli.incidents import incidents
from alerts.cli.services import rules_app as rules
from alerts.store.queries import require_known_tenant
from tests.alerts.builders import finding, fold_all
from ullage.security import keys
from ullage.settings.tenants import UnknownTenantError

SAID = "tenant bnak is unknown: use bank"
API_SAID = "that tenant is unknown: use bank"


@pytest.fixture
def bank(context, store):
    keys.make_tenant(context.keys, "bank")
    return context


SUPPRESS = ("suppress", "--site", "x", "--days", "3", "--reason", "x", "--by", "Li")


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (incidents, ("list",)), (incidents, ("list", "--json")),
        (incidents, ("export", "--format", "csv")),
        (incidents, SUPPRESS), (incidents, ("suppressions",)),
        (incidents, ("suppressions", "--background")),
        (rules, ("replay",)),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_unknown_tenant_fails_every_command(bank, app, words) -> None:
    result = CliRunner().invoke(app, [*words, "--tenant", "bnak"], obj=bank)
    assert isinstance(result.exception, UnknownTenantError), result.output
    assert (str(result.exception), result.exception.exit_code, result.stdout) == (SAID, 2, "")


def test_rules_are_not_replayed_for_an_unknown_tenant(bank, tmp_path) -> None:
    file = tmp_path / "background.toml"
    file.write_text(
        CliRunner().invoke(rules, ["show", "background"], obj=bank).stdout, encoding="utf-8"
    )
    assert (
        str(
            CliRunner().invoke(rules, ["replay", str(file), "--tenant", "bnak"], obj=bank).exception
        )
        == SAID
    )


def test_tenant_with_stored_documents_is_known(context, store, clock) -> None:
    fold_all(store, clock, [finding("f", range(10), people="a", tenant="elsewhere")])
    require_known_tenant(context, store, "elsewhere")
    require_known_tenant(context, store, "")
    with pytest.raises(UnknownTenantError, match=r"use elsewhere$"):
        require_known_tenant(context, store, "elsewher")


@pytest.mark.parametrize(
    ("path", "said"),
    [("/", "T" + SAID[1:]), ("/v1/incidents", API_SAID), ("/v1/export/csv", API_SAID)],
    ids=["page", "list", "csv"],
)
def test_unknown_tenant_is_rejected_on_the_page_and_in_the_api(browser, path, said) -> None:
    answer = browser.get(path, params={"tenant": "bnak"})
    assert answer.status_code == 400
    assert said in answer.text
    assert browser.get(path, params={"tenant": "bank"}).status_code == 200
