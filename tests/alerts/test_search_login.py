"""Who gets in: people with a password, programs with a token, and how often one may try."""

import asyncio
import contextlib
import json

import httpx
import pytest
from prometheus_client import CollectorRegistry

from alerts.accounts.sessions import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST,
    OF_ACCOUNT,
    OF_ALL,
    OF_SOURCE,
    Attempt,
    Attempts,
)
from alerts.cases.lookups.lookup import index_tags
from alerts.web.app import create_app
from alerts.web.auth import WRONG_TOKENS
from alerts.web.static_files import find_static_path
from tests.alerts.browser import (
    ASKED,
    ASKER,
    CHEAP,
    HOST,
    OURS,
    PASSWORD,
    PHONE,
    Browser,
    add_account,
)
from ullage import audit
from ullage.runtime.rate_limit import LimitedError
from ullage.security.masking import Secret

OPEN = ("/metrics", "/healthz", "/readyz", find_static_path("ullage.css"), "/login")
CLOSED = (
    "/",
    "/exposed",
    "/noise",
    "/incidents/INC-X",
    "/v1/incidents",
    "/v1/export/csv",
    "/v1/openapi.json",
    "/nowhere",
)
WORK = ["incident.read", "incident.export", "person.check"]


@pytest.fixture
def stranger(desk) -> Browser:
    """Somebody who has no session."""
    return Browser(desk.app)


@pytest.fixture
def token(accounts) -> str:
    """Return a token of a program for all tenants."""
    return accounts.add_token("crm", WORK, ["*"], purpose="asks for callers", days=30, by="test")[1]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def trail(context, *about: str) -> list[tuple[str, str, str]]:
    """List action, actor and object of the audit entries about accounts and tokens."""
    entries = [
        (entry.action, entry.actor, entry.object)
        for _, entry in audit.read_entries(context.data / "audit")
    ]
    return [
        entry for entry in entries if entry[0].partition(".")[0] in (about or ("account", "token"))
    ]


@pytest.mark.parametrize("path", OPEN)
def test_public_path_needs_no_login(stranger, path) -> None:
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
def test_stranger_reads_nothing(stranger, path) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "content-security-policy" in answer.headers
    if path.startswith("/v1/"):
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"
    else:
        assert 'action="/login"' in answer.text
        assert "INC-" not in answer.text.replace(f'value="{path}"', "")


def test_stranger_changes_nothing(stranger, store, context) -> None:
    assert stranger.post("/exposed", ASKED).status_code == 401
    assert stranger.ask("POST", "/v1/exposed", json=ASKED).status_code == 401
    assert stranger.post("/incidents/INC-X/decisions", {"status": "confirmed"}).status_code == 401
    assert list(audit.read_entries(context.data / "audit")) == []


def test_login_opens_a_session_with_an_opaque_cookie(stranger) -> None:
    answer = stranger.log_in(ASKER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers.get_list("set-cookie")[0]
    assert PASSWORD not in cookie
    assert ASKER not in cookie
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        "path=/",
        "samesite=strict",
    }
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("name", [ASKER.upper(), ASKER.lower(), f" {ASKER} ", "Ｌｉ Ｗｅｉ"])
def test_account_name_is_accepted_in_any_spelling(stranger, name) -> None:
    assert stranger.log_in(name).status_code == 303


def test_sessions_have_different_ids_and_end_separately(browser, stranger) -> None:
    stranger.log_in(ASKER)
    assert stranger.cookies != browser.cookies
    assert stranger.post("/logout").status_code == 303
    assert stranger.get("/").status_code == 401
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "ullage_session", "ullage_session=", "ullage_session=" + "a" * 43, "other=1; x=2"],
)
def test_unknown_session_cookie_is_rejected(stranger, cookie) -> None:
    assert stranger.get("/", headers={"cookie": cookie}).status_code == 401


def test_idle_session_ends(browser, clock, context) -> None:
    idle = context.settings.search.idle_minutes * 60
    for _ in range(3):
        clock.advance(idle - 1)
        assert browser.get("/").status_code == 200
    clock.advance(idle + 1)
    assert browser.get("/").status_code == 401


def test_session_ends_after_half_a_day_even_if_used(browser, clock, context) -> None:
    step = context.settings.search.idle_minutes * 60 - 1
    for _ in range(int(12 * 3600 // step)):
        clock.advance(step)
        assert browser.get("/").status_code == 200
    clock.advance(step)
    assert browser.get("/").status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.set_disabled(ASKER, is_disabled=True),
        lambda accounts: accounts.set_roles(ASKER, ["agent"], ["bank"]),
        lambda accounts: accounts.set_password(
            ASKER, CHEAP.hash("another sentence of words"), is_own=True
        ),
    ],
    ids=["closed", "other roles", "other password"],
)
def test_session_ends_once_its_account_changed(browser, accounts, change) -> None:
    assert browser.get("/").status_code == 200
    change(accounts)
    assert browser.get("/").status_code == 401
    assert browser.post("/exposed", ASKED).status_code == 401


def test_reopened_account_can_log_in(stranger, accounts) -> None:
    accounts.set_disabled(ASKER, is_disabled=True)
    assert stranger.log_in(ASKER).status_code == 401
    accounts.set_disabled(ASKER, is_disabled=False)
    assert stranger.log_in(ASKER).status_code == 303


# One answer to all who are not let in.


def test_failed_logins_get_one_answer_for_every_cause(stranger, accounts) -> None:
    add_account(accounts, "Wang Fang", ["agent"])
    accounts.set_disabled("Wang Fang", is_disabled=True)
    answers = {
        (answer.status_code, answer.text)
        for answer in (
            stranger.log_in("nobody"),
            stranger.log_in(ASKER, "x"),
            stranger.log_in("Wang Fang"),
        )
    }
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


def test_password_is_verified_even_for_unknown_or_closed_accounts(
    stranger, accounts, monkeypatch
) -> None:
    """An unknown name and a closed account take as long as a wrong password: each is digested
    once.
    """
    add_account(accounts, "Wang Fang", ["agent"])
    accounts.set_disabled("Wang Fang", is_disabled=True)
    verified = []
    real = type(CHEAP).verify
    monkeypatch.setattr(
        type(CHEAP),
        "verify",
        lambda self, digest, text: verified.append(text) or real(self, digest, text),
    )
    for name in ("nobody", ASKER, "Wang Fang", ""):
        stranger.log_in(name, "one of four")
    assert verified == ["one of four"] * 4


@pytest.mark.parametrize("name", [ASKER, "nobody"])
def test_failed_attempts_wait_longer_each_time(stranger, clock, registry, context, name) -> None:
    for _ in range(OF_ACCOUNT):
        assert stranger.log_in(name, "guess").status_code == 401
    waits = []
    for _ in range(9):
        limited = stranger.log_in(name)
        assert limited.status_code == 429, "right or wrong is not told while it waits"
        waits.append(int(limited.headers["retry-after"]))
        clock.advance(waits[-1])
        assert stranger.log_in(name, "guess").status_code == 401
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    limited = registry.get_sample_value("ullage_search_logins_total", {"outcome": "limited"})
    assert limited == 9
    assert [entry[0] for entry in trail(context)].count("account.locked") == 9, "one entry a wait"


def test_waiting_long_enough_resets_the_attempts(stranger, clock) -> None:
    for _ in range(OF_ACCOUNT):
        stranger.log_in(ASKER, "guess")
    clock.advance(FIRST_WAIT)
    assert stranger.log_in(ASKER).status_code == 303
    for _ in range(OF_ACCOUNT - 1):
        assert stranger.log_in(ASKER, "guess").status_code == 401
    assert stranger.log_in(ASKER).status_code == 303


def test_source_that_tries_many_names_is_limited(stranger) -> None:
    for n in range(OF_SOURCE):
        assert stranger.log_in(f"name{n}x", "guess").status_code == 401
    assert stranger.log_in(ASKER).status_code == 429


def test_logged_in_user_stays_while_others_are_rejected(browser, stranger, token) -> None:
    for n in range(2 * OF_SOURCE):
        stranger.log_in(f"name{n}x", "guess")
    assert browser.get("/").status_code == 200
    assert stranger.get("/v1/incidents", headers=bearer(token)).status_code == 200


def test_shift_change_is_not_limited(stranger) -> None:
    for _ in range(2 * OF_SOURCE):
        assert stranger.log_in(ASKER).status_code == 303


def test_logins_and_rejections_are_audited_without_typed_text(stranger, context) -> None:
    stranger.log_in("my password is hunter2", "x")
    stranger.log_in(ASKER, "wrong")
    stranger.log_in(ASKER)
    stranger.post("/logout")
    assert trail(context) == [
        ("account.refused", "page", "a name that is none"),
        ("account.refused", "page", f"account {ASKER}: wrong password, or one that ran out unused"),
        ("account.login", ASKER, f"account {ASKER} by password"),
        ("account.logout", ASKER, f"account {ASKER}"),
    ]


# A password that somebody else made.


@pytest.fixture
def newcomer(stranger, accounts) -> Browser:
    """Somebody whose password the operator made."""
    accounts.add("Zhao Min", ["analyst"], ["*"], digest=CHEAP.hash(PASSWORD), by="test")
    assert stranger.log_in("Zhao Min").status_code == 303
    return stranger


NEW = "words that nobody else knows"


def test_password_set_by_another_only_allows_changing_it(newcomer, phone_incident) -> None:
    for path in ("/", f"/incidents/{phone_incident}", "/noise"):
        answer = newcomer.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/password")
    assert (
        newcomer.post(f"/incidents/{phone_incident}/decisions", {"status": "resolved"}).headers[
            "location"
        ]
        == "/password"
    )
    assert newcomer.get("/v1/incidents").status_code == 401
    assert "This password was set by somebody else" in newcomer.get("/password").text


def test_user_continues_after_changing_the_password(newcomer, desk) -> None:
    answer = newcomer.post("/password", {"old": PASSWORD, "new": NEW, "again": NEW})
    assert answer.status_code == 303
    newcomer.cookies |= dict(answer.cookies)
    assert newcomer.get("/").status_code == 200
    second_browser = Browser(desk.app)
    assert second_browser.log_in("Zhao Min").status_code == 401
    assert second_browser.log_in("Zhao Min", NEW).status_code == 303


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"new": "short", "again": "short"}, "15 to 256 characters"),
        ({"new": "zhao min zhao min", "again": "zhao min zhao min"}, "account name"),
        ({"new": "a" * 20, "again": "a" * 20}, "different characters"),
        ({"new": NEW, "again": NEW + "x"}, "passwords differ"),
        ({"new": PASSWORD, "again": PASSWORD}, "choose another"),
        ({"old": "wrong", "new": NEW, "again": NEW}, "current password is wrong"),
    ],
)
def test_rejected_password_is_explained(newcomer, typed, says) -> None:
    answer = newcomer.post("/password", {"old": PASSWORD, **typed})
    assert answer.status_code in (400, 401)
    assert says in answer.text
    assert newcomer.get("/").headers["location"] == "/password"


def test_unused_initial_password_expires(stranger, accounts, clock) -> None:
    accounts.add("Zhao Min", ["analyst"], ["*"], digest=CHEAP.hash(PASSWORD), by="test", hours=1)
    clock.advance(3601)
    assert stranger.log_in("Zhao Min").status_code == 401


def test_password_change_has_the_same_attempt_limit_as_login(newcomer) -> None:
    typed = {"old": "guess", "new": NEW, "again": NEW}
    assert [newcomer.post("/password", typed).status_code for _ in range(OF_ACCOUNT + 1)] == [
        401
    ] * OF_ACCOUNT + [429]


# Programs.


def test_program_authenticates_with_a_bearer_token(stranger, token) -> None:
    assert stranger.get("/v1/incidents", headers=bearer(token)).json()["items"] == []
    assert stranger.ask("POST", "/v1/exposed", json=ASKED, headers=bearer(token)).status_code == 200
    for wrong in (token[:-1], token + "x", "", token.swapcase(), "ü" * 43):
        headers = [(b"authorization", f"Bearer {wrong}".encode("latin-1"))]
        assert stranger.ask("GET", "/v1/incidents", headers=headers).status_code == 401
    assert (
        stranger.get("/v1/incidents", headers={"authorization": f"Basic {token}"}).status_code
        == 401
    )


def test_token_is_limited_to_its_scope(stranger, token, phone_incident) -> None:
    decided = {"by": "Li", "decision": "confirmed"}
    answer = stranger.ask(
        "POST", f"/v1/incidents/{phone_incident}/decisions", json=decided, headers=bearer(token)
    )
    assert (answer.status_code, "incident.decide" in answer.json()["detail"]) == (403, True)


def test_token_ends_when_it_expires_or_is_revoked(stranger, accounts, clock, token) -> None:
    (stored,) = accounts.tokens()
    expiring = accounts.add_token(
        "siem", ["incident.read"], ["*"], purpose="exports", days=1, by="test"
    )[1]
    clock.advance(86_400)
    assert stranger.get("/v1/incidents", headers=bearer(expiring)).status_code == 401
    assert stranger.get("/v1/incidents", headers=bearer(token)).status_code == 200
    accounts.revoke(stored.id)
    assert stranger.get("/v1/incidents", headers=bearer(token)).status_code == 401


def test_program_acts_in_its_own_name_and_the_stated_one(
    stranger, token, phone_incident, context
) -> None:
    for body in ({**ASKED, "by": "Wang Fang"}, ASKED):
        assert (
            stranger.ask("POST", "/v1/exposed", json=body, headers=bearer(token)).status_code == 200
        )
    assert [entry[1] for entry in trail(context, "lookup")] == ["Wang Fang via crm", "crm"]
    for who in (PHONE, "x" * 65):
        answer = stranger.ask(
            "POST", "/v1/exposed", json={**ASKED, "by": who}, headers=bearer(token)
        )
        assert answer.status_code == 400
        assert who not in answer.text


def test_person_acts_in_their_own_name(browser, phone_incident, context) -> None:
    browser.ask("POST", "/v1/exposed", json={**ASKED, "by": "Wang Fang"})
    assert [entry[1] for entry in trail(context, "lookup")] == [ASKER]


def test_token_in_the_address_is_not_accepted(stranger, token) -> None:
    assert stranger.get("/", params={"token": token}).status_code == 401
    assert stranger.get("/login", params={"token": token}).status_code == 400


def test_wrong_tokens_are_limited_and_counted(stranger, registry, clock, token) -> None:
    for n in range(WRONG_TOKENS):
        assert stranger.get("/v1/incidents", headers=bearer(f"guess-{n}")).status_code == 401
    limited = stranger.get("/v1/incidents", headers=bearer("guess"))
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert "guess" not in limited.text
    assert stranger.get("/v1/incidents", headers=bearer(token)).status_code == 200
    counted = {
        o: registry.get_sample_value("ullage_search_logins_total", {"outcome": o})
        for o in ("refused", "limited")
    }
    assert counted == {"refused": WRONG_TOKENS, "limited": 1}


# Other sites.


@pytest.mark.parametrize(
    "headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}], ids=str
)
def test_another_site_cannot_log_a_browser_in_or_out(browser, stranger, headers) -> None:
    assert (
        stranger.post("/login", {"name": ASKER, "password": PASSWORD}, headers).status_code == 403
    )
    assert browser.post("/logout", {}, headers).status_code == 403
    assert (
        browser.post("/password", {"old": PASSWORD, "new": NEW, "again": NEW}, headers).status_code
        == 403
    )
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/incidents/INC-ABCDEFGHIJ", "/?severity=high&status=open", "/exposed"]
)
def test_login_returns_to_the_requested_page(stranger, path) -> None:
    page = stranger.get(path).text
    assert f'name="then" value="{path.replace("&", "&amp;")}"' in page
    assert stranger.log_in(ASKER, then=path).headers["location"] == path


@pytest.mark.parametrize(
    "then",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/\r\nx: y",
    ],
)
def test_login_never_redirects_to_another_host(stranger, then) -> None:
    assert stranger.log_in(ASKER, then=then).headers["location"] == "/"


def test_link_from_elsewhere_can_continue_an_existing_session(browser, stranger) -> None:
    page = stranger.get("/incidents/INC-ABCDEFGHIJ", headers={"sec-fetch-site": "cross-site"}).text
    assert '<a href="/incidents/INC-ABCDEFGHIJ">I am logged in' in page
    assert "I am logged in" not in stranger.get("/", headers={"sec-fetch-site": "none"}).text


# How often a person may be looked up.


def ask(browser: Browser, how: str, value: str = PHONE):
    if how == "page":
        return browser.post("/exposed", {**ASKED, "value": value})
    return browser.ask("POST", "/v1/exposed", json={**ASKED, "value": value})


@pytest.mark.parametrize("how", ["page", "api"])
def test_scan_of_numbers_is_rejected_counted_and_audited(
    browser, registry, clock, context, how
) -> None:
    allowed = context.settings.search.lookups_per_minute
    answers = [ask(browser, how, f"138001380{n:02d}") for n in range(allowed + 5)]
    assert [answer.status_code for answer in answers] == [200] * allowed + [429] * 5
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers[allowed:])
    assert "13800138" not in "".join(answer.text for answer in answers[allowed:])
    assert registry.get_sample_value("ullage_search_lookups_total", {"outcome": "limited"}) == 5
    # which is told of neighbouring numbers
    noted = [answer[0] for answer in trail(context, "lookup") if answer[0] != "lookup.sweep"]
    assert noted == ["lookup"] * allowed + ["lookup.limited"]
    clock.advance(int(answers[-1].headers["retry-after"]))
    assert ask(browser, how).status_code == 200


def test_scan_limit_is_per_person_across_sessions(browser, stranger, log_in, context) -> None:
    for n in range(context.settings.search.lookups_per_minute + 1):
        last = ask(browser, "api", f"138001380{n:02d}")
    assert last.status_code == 429
    stranger.log_in(ASKER)
    assert ask(stranger, "api").status_code == 429
    assert ask(log_in("agent"), "api").status_code == 200


def test_several_people_do_not_bypass_the_scan_limit(data, store, accounts, clock) -> None:
    from ullage.settings import Context

    (data / "ullage.toml").write_text("[search]\nlookups_per_minute = 3\nlookups_per_day = 7\n")
    context = Context(data, clock.as_clock())
    context.keys.make("bank/index-1.key")
    app = create_app(context, store, accounts, CollectorRegistry(), frozenset({HOST}), hasher=CHEAP)
    statuses = []
    for n in range(4):
        add_account(accounts, f"agent{n}", ["agent"])
        agent = Browser(app)
        agent.log_in(f"agent{n}")
        statuses += [ask(agent, "api").status_code for _ in range(3)]
    assert statuses == [200] * 7 + [429] * 5


# Every look-up is in the audit log.


def test_lookup_is_audited_by_tag_before_it_is_answered(
    browser, phone_incident, context, monkeypatch
) -> None:
    ask(browser, "page")
    ask(browser, "api", "13900139000")
    ask(browser, "api", "no identifier")
    entries = [e for _, e in audit.read_entries(context.data / "audit") if e.action == "lookup"]
    recorded = [(e.action, e.actor, e.tenant, e.reason, e.object) for e in entries]
    key = context.keys.read("bank/index-1.key")
    tags = [index_tags(key, "bank", "phone", Secret(value))[0] for value in (PHONE, "13900139000")]
    why = "fraud_case, case C-2026-1"
    assert recorded == [
        ("lookup", "Li Wei", "bank", why, f"phone {tags[0]}: found in 1 incident"),
        ("lookup", "Li Wei", "bank", why, f"phone {tags[1]}: not found"),
        ("lookup", "Li Wei", "", why, "no identifier: refused"),
    ]
    assert [chain.faults for chain in audit.walk_all(context.data / "audit", context.keys)] == [[]]
    log = b"".join(
        path.read_bytes() for path in (context.data / "audit").rglob("*") if path.is_file()
    )
    assert PHONE.encode() not in log


def test_lookup_without_an_audit_entry_is_not_answered(
    browser, phone_incident, monkeypatch
) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ullage.audit.trail.write_through", full)
    for how in ("page", "api"):
        answer = ask(browser, how)
        assert answer.status_code == 503
        assert phone_incident not in answer.text


def test_audit_list_shows_lookups(browser, phone_incident, data, capsys, monkeypatch) -> None:
    from typer.testing import CliRunner

    from ullage.audit_command import app
    from ullage.settings import Context

    ask(browser, "page")
    result = CliRunner().invoke(app, ["list", "--json", "--action", "lookup"], obj=Context(data))
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (row["chain"], row["action"], row["actor"], row["tenant"]) == (
        "search",
        "lookup",
        "Li Wei",
        "bank",
    )
    assert row["object"].endswith("found in 1 incident")


# Parameters of the address.

ROUTES = [
    "/",
    "/exposed",
    "/noise",
    "/login",
    "/metrics",
    "/healthz",
    "/readyz",
    find_static_path("ullage.css"),
]
ROUTES += ["/v1/incidents", "/v1/openapi.json", "/v1/export/csv"]


@pytest.mark.parametrize("path", ROUTES)
def test_unknown_parameter_is_rejected_on_every_route(browser, phone_incident, path) -> None:
    for query in ({"whose": "ours"}, {PHONE: "1"}, {"Severity": "high"}):
        answer = browser.get(path, params=query)
        assert answer.status_code == 400, query
        assert "unknown parameters" in answer.text
        assert PHONE not in answer.text


@pytest.mark.parametrize("path", ["/incidents/{}", "/v1/incidents/{}"])
def test_unknown_parameter_of_an_incident_page_is_rejected(browser, phone_incident, path) -> None:
    assert browser.get(path.format(phone_incident)).status_code == 200
    assert browser.get(path.format(phone_incident), params={"limit": 1}).status_code == 400


def test_form_target_accepts_no_parameters(browser, phone_incident) -> None:
    assert browser.post("/exposed?whose=ours", ASKED).status_code == 400
    assert browser.ask("POST", "/v1/exposed?x=1", json=ASKED, headers=OURS).status_code == 400


def test_rejection_lists_the_known_parameters(browser) -> None:
    assert (
        "severity, since, site, status"
        in browser.get("/v1/incidents", params={"whose": "ours"}).json()["detail"]
    )
    assert "remove them" in browser.get("/noise", params={"q": "x"}).text


def test_repeated_parameter_is_rejected(browser) -> None:
    answer = browser.get("/v1/incidents?severity=high&severity=low")
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "severity: given more than once: give it once",
    )
    # of which there may be several
    named = browser.get("/v1/export/csv?id=INC-A&id=INC-B").json()["detail"]
    assert named.startswith("2 of these incidents do not exist")


def from_(browser: Browser, address: str, password: str = "guess", name: str = ASKER):
    """Somebody at that address types a password."""
    transport = httpx.ASGITransport(app=browser.app, client=(address, 4000))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://{HOST}", cookies=browser.cookies
        ) as client:
            return await client.post(
                "/login", data={"name": name, "password": password}, headers=OURS
            )

    return asyncio.run(send())


def test_attacker_elsewhere_cannot_lock_out_a_person(stranger, desk) -> None:
    for _ in range(4 * OF_ACCOUNT):
        from_(stranger, "198.51.100.7")
    assert from_(stranger, "198.51.100.7", PASSWORD).status_code == 429
    assert from_(Browser(desk.app), "192.0.2.7", PASSWORD).status_code == 303


def test_distributed_guessing_locks_out_unknown_devices_only(stranger, desk, clock) -> None:
    device = Browser(desk.app)
    device.cookies |= dict(from_(device, "192.0.2.1", PASSWORD).cookies)
    for n in range(OF_ALL):
        from_(stranger, f"198.51.100.{n}")
    assert from_(stranger, "203.0.113.1", PASSWORD).status_code == 429, (
        "an account is not guessed from many places"
    )
    assert from_(device, "203.0.113.2", PASSWORD).status_code == 303
    assert from_(device, "198.51.100.1", PASSWORD).status_code == 303, (
        "nor by who is at the same address"
    )


def test_device_cookie_is_bound_to_account_and_password(stranger, desk, accounts, clock) -> None:
    add_account(accounts, "Zhao Min", ["agent"])
    device = Browser(desk.app)
    device.cookies |= dict(from_(device, "192.0.2.1", PASSWORD).cookies)
    for n in range(OF_ALL):
        from_(stranger, f"198.51.100.{n}", name="Zhao Min")
        from_(stranger, f"198.51.100.{n}")
    assert from_(device, "192.0.2.1", PASSWORD, "Zhao Min").status_code == 429
    device.cookies["ullage_device"] = device.cookies["ullage_device"][:-1] + "x"
    assert from_(device, "192.0.2.1", PASSWORD).status_code == 429
    accounts.set_password(ASKER, CHEAP.hash("other words of mine"), is_own=False)
    assert from_(device, "192.0.2.1", "other words of mine").status_code == 303, (
        "a password that an operator makes is the way back"
    )


def test_known_device_has_the_same_number_of_attempts(desk) -> None:
    device = Browser(desk.app)
    device.cookies |= dict(from_(device, "192.0.2.1", PASSWORD).cookies)
    assert [from_(device, f"192.0.2.{n}").status_code for n in range(OF_ACCOUNT + 1)] == [
        401
    ] * OF_ACCOUNT + [429]


def test_remembered_attempts_are_bounded(clock) -> None:
    attempts = Attempts(clock.as_clock())
    for n in range(2 * MOST):
        attempts.begin(Attempt(f"name{n}", f"192.0.2.{n}"))
    assert {kind: len(tries) for kind, tries in attempts._tries.items()} == dict.fromkeys(
        attempts._tries, MOST
    )
    for _ in range(OF_SOURCE):
        with contextlib.suppress(LimitedError):
            attempts.begin(Attempt("Li", "203.0.113.9"))
    until = dict(attempts._tries["account"])
    for n in range(50):
        with contextlib.suppress(LimitedError):
            attempts.begin(Attempt(f"another{n}", "203.0.113.9"))
    assert len(set(attempts._tries["account"]) - set(until)) <= OF_SOURCE, (
        "whoever waits adds nothing"
    )
