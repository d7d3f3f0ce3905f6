"""Accounts and tokens on the page: the same changes as on a terminal, by operators alone, and
nobody locks everybody out.
"""

import re

import pytest

from alerts.accounts import ROLE_PURPOSES, ROLES
from alerts.accounts.accounts import UNUSED_HOURS
from tests.alerts.browser import ASKER, Browser, add_account
from ullage import audit
from ullage.security import keys

NEW = {"name": "Wang Fang", "role": ["analyst", "agent"], "tenant": ["bank"]}
TOKEN = {
    "name": "crm",
    "purpose": "asks for callers",
    "days": "30",
    "permission": ["person.check"],
    "tenant": ["bank"],
}


@pytest.fixture
def operator(log_in) -> Browser:
    return log_in("operator")


def secret(page: str) -> str:
    return re.search(r'<code class="secret">([^<]+)</code>', page).group(1)


def read_account_audit(context) -> list[tuple[str, str, str]]:
    entries = [
        (entry.action, entry.actor, entry.object)
        for _, entry in audit.read_entries(context.data / "audit")
    ]
    return [
        entry
        for entry in entries
        if entry[0].partition(".")[0] in ("account", "token") and entry[0] != "account.login"
    ]


def test_new_account_gets_a_one_time_password_shown_once(operator, accounts, context) -> None:
    answer = operator.post("/accounts/add", NEW)
    assert answer.status_code == 200
    password = secret(answer.text)
    user = accounts.get_user("Wang Fang")
    assert (user.roles, user.tenants, user.made_by) == (
        ("agent", "analyst"),
        ("bank",),
        "operator of all",
    )
    assert password not in operator.get("/accounts/one?name=Wang%20Fang").text
    stranger = Browser(operator.app)
    assert stranger.log_in("Wang Fang", password).status_code == 303
    assert stranger.get("/").headers["location"] == "/password"
    assert read_account_audit(context) == [
        ("account.add", "operator of all", "account Wang Fang: agent, analyst of bank")
    ]
    assert str(UNUSED_HOURS) in answer.text


def test_account_changes_on_the_page_are_audited(operator, accounts, log_in, context) -> None:
    analyst = log_in("analyst", tenants=["bank"])
    name = {"name": "analyst of bank"}
    assert analyst.get("/").status_code == 200
    assert operator.post("/accounts/sessions", name).status_code == 200
    assert analyst.get("/").status_code == 401
    assert (
        operator.post("/accounts/roles", {**name, "role": ["lead"], "tenant": ["*"]}).status_code
        == 200
    )
    assert operator.post("/accounts/close", name).status_code == 200
    assert accounts.get_user(name["name"]).is_disabled
    assert operator.post("/accounts/open", name).status_code == 200
    assert (
        analyst.log_in(
            name["name"], secret(operator.post("/accounts/password", name).text)
        ).status_code
        == 303
    )
    assert [entry[::2] for entry in read_account_audit(context)] == [
        ("account.sessions", "account analyst of bank: its sessions end"),
        ("account.roles", "account analyst of bank: lead of all tenants; before: analyst of bank"),
        ("account.disable", "account analyst of bank"),
        ("account.enable", "account analyst of bank"),
        ("account.password", "account analyst of bank"),
    ]


def test_token_is_shown_once_and_can_be_revoked(operator, accounts, context) -> None:
    answer = operator.post("/accounts/tokens", TOKEN)
    assert answer.status_code == 200
    token = secret(answer.text)
    assert accounts.find_token(token).permissions == ("person.check",)
    page = operator.get("/accounts").text
    assert token not in page
    assert "asks for callers" in page
    (stored_token,) = accounts.tokens()
    assert operator.post("/accounts/revoke", {"id": stored_token.id}).status_code == 303
    assert accounts.find_token(token) is None
    assert operator.post("/accounts/revoke", {"id": stored_token.id}).status_code == 400
    assert [entry[0] for entry in read_account_audit(context)] == ["token.add", "token.revoke"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"role": ["operator", "auditor"]}, "he same person cannot be auditor and operator"),
        ({"role": []}, "hoose at least one role"),
        ({"tenant": []}, "hoose whose data they may see"),
        ({"tenant": ["nosuch"]}, "nosuch is unknown"),
        ({"name": ASKER.upper()}, "n account with this name exists"),
        ({"name": "7"}, "name must start with a letter"),
    ],
)
def test_rejected_account_form_keeps_its_input(operator, accounts, context, typed, says) -> None:
    before = len(accounts.users())
    answer = operator.post("/accounts/add", {**NEW, **typed})
    assert answer.status_code == 400
    assert says in answer.text
    assert f'value="{typed.get("name", NEW["name"])}"' in answer.text
    assert (len(accounts.users()), read_account_audit(context)) == (before, [])


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"permission": ["account.manage"]}, "permissions of a token must be from"),
        ({"permission": []}, "permissions of a token must be from"),
        ({"purpose": " "}, "nter the purpose of the token"),
        ({"purpose": "call 13800138000"}, "nter the purpose of the token"),
        ({"days": "400"}, "within 366 days"),
    ],
)
def test_invalid_token_request_is_rejected(operator, accounts, typed, says) -> None:
    answer = operator.post("/accounts/tokens", {**TOKEN, **typed})
    assert answer.status_code == 400
    assert says in answer.text
    assert "13800138000" not in answer.text
    assert accounts.tokens() == []


def test_last_operator_cannot_lock_everybody_out(operator, accounts, context) -> None:
    mine = {"name": "operator of all"}
    changes = [("close", {}), ("password", {}), ("roles", {"role": ["lead"], "tenant": ["*"]})]
    for place, more in changes:
        answer = operator.post(f"/accounts/{place}", {**mine, **more})
        assert answer.status_code == 400
    accounts.add("Zhao Min", ["operator"], ["*"], digest="x", by="test")
    answer = operator.post("/accounts/close", mine)
    assert "obody else could manage accounts" in answer.text, (
        "somebody who has not logged in yet does not count"
    )
    assert read_account_audit(context) == []
    add_account(accounts, "Sun Li", ["operator"])
    assert operator.post("/accounts/close", mine).status_code == 303
    assert operator.get("/accounts").status_code == 401


def test_nobody_grants_themselves_permissions(log_in, accounts) -> None:
    keeper = log_in("operator")
    for role, tenant in ((["operator", "lead"], ["*"]), (["dpo"], ["*"])):
        answer = keeper.post(
            "/accounts/roles", {"name": "operator of all", "role": role, "tenant": tenant}
        )
        assert answer.status_code == 400
        assert "ou cannot give yourself" in answer.text
    assert accounts.get_user("operator of all").roles == ("operator",)


def test_tenant_operator_manages_only_accounts_of_that_tenant(log_in, accounts, context) -> None:
    keys.make_tenant(context.keys, "zetalend")
    add_account(accounts, "Zhao Min", ["analyst"], ["zetalend"])
    of_other = accounts.add_token(
        "siem", ["incident.read"], ["zetalend"], purpose="exports", days=3, by="test"
    )[0]
    operator = log_in("operator", tenants=["bank"])
    page = operator.get("/accounts").text
    assert "Zhao Min" not in page
    assert "siem" not in page
    assert ASKER not in page, "who sees all tenants is no account of one of them"
    there, nowhere = (
        operator.get("/accounts/one", params={"name": name}) for name in ("Zhao Min", "Nobody Here")
    )
    assert (there.status_code, there.text) == (
        nowhere.status_code,
        nowhere.text.replace("Nobody Here", "Zhao Min"),
    )
    assert operator.post("/accounts/close", {"name": "Zhao Min"}).status_code == 400
    assert not accounts.get_user("Zhao Min").is_disabled
    assert operator.post("/accounts/revoke", {"id": of_other.id}).status_code == 400
    for tenant in (["*"], ["zetalend"], ["bank", "zetalend"]):
        assert operator.post("/accounts/add", {**NEW, "tenant": tenant}).status_code == 400
        assert operator.post("/accounts/tokens", {**TOKEN, "tenant": tenant}).status_code == 400
    assert operator.post("/accounts/add", NEW).status_code == 200


def test_auditor_reads_accounts_and_changes_nothing(log_in, accounts) -> None:
    auditor = log_in("auditor")
    page = auditor.get("/accounts").text
    assert ASKER in page
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    for place in ("add", "roles", "close", "open", "sessions", "password", "tokens", "revoke"):
        assert auditor.post(f"/accounts/{place}", {"name": ASKER, "id": "x"}).status_code == 403


def test_account_name_of_another_tenant_is_neither_revealed_nor_blocking(
    log_in, accounts, context
) -> None:
    keys.make_tenant(context.keys, "shop")
    add_account(accounts, "Zhao Min", ["analyst"], ["shop"])
    add_account(accounts, "Zhao Min@shop", ["analyst"], ["shop"])
    operator = log_in("operator", tenants=["bank"])
    same_name, free = (
        operator.post("/accounts/add", {**NEW, "name": name}) for name in ("Zhao Min", "Sun Li")
    )
    assert (same_name.status_code, free.status_code) == (200, 200)
    assert accounts.get_user("Zhao Min@bank").tenants == ("bank",)
    assert "Sun Li@bank" in free.text
    stranger = Browser(operator.app)
    assert stranger.log_in("zhao min@bank", secret(same_name.text)).status_code == 303
    again, foreign_suffix = (
        operator.post("/accounts/add", {**NEW, "name": name})
        for name in ("Zhao Min", "Zhao Min@shop")
    )
    assert "n account with this name exists" in again.text
    assert "must see that tenant" in foreign_suffix.text
    assert operator.post("/accounts/add", {**NEW, "name": "Li", "subject": "x"}).status_code == 400


def test_operators_of_other_tenants_do_not_count_for_a_tenant_operator(log_in, accounts) -> None:
    operator = log_in("operator", tenants=["bank"])
    answers = [operator.post("/accounts/close", {"name": "operator of bank"})]
    add_account(accounts, "Zhao Min", ["operator"], ["shop"])
    answers += [operator.post("/accounts/close", {"name": "operator of bank"})]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].content == answers[1].content


def test_roles_are_explained_where_they_are_chosen(log_in):
    assert ROLE_PURPOSES.keys() == ROLES.keys()
    page = log_in("operator").get("/accounts").text
    choice = page[page.index('value="resolver"') :][:200]
    assert "approves requests for customer references" in choice


def test_tenants_and_single_sign_on_are_shown_with_the_file_that_sets_them(log_in):
    page = log_in("operator").get("/accounts").text
    assert "<code>[tenants.NAME]</code>" in page
    assert '<td data-label="Time zone">Asia/Shanghai</td>' in page
    assert "<code>[search.oidc]</code>" in page
    assert "Not configured: people log in with passwords." in page
    limited = log_in("operator", tenants=["bank"]).get("/accounts").text
    assert "<code>[search.oidc]</code>" not in limited
