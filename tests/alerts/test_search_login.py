"""Who may use the page: the token, sessions, programs, and how often one may try."""

import json
import stat

import pytest
from prometheus_client import CollectorRegistry

from alerts.lookup.exposed import index_tags
from alerts.search.app import create_app
from alerts.search.door import ATTEMPTS, TOKEN, token_of
from tests.alerts.browser import ASKED, HOST, OURS, PHONE, Browser
from ullage import audit
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore
from ullage.security.masking import Secret
from ullage.security.tokens import SHORTEST

OPEN = ("/metrics", "/healthz", "/readyz", "/static/ullage.css", "/login")
CLOSED = ("/", "/exposed", "/noise", "/incidents/INC-X", "/api/incidents", "/api/export/csv", "/api/openapi.json", "/nowhere")


@pytest.fixture
def stranger(browser) -> Browser:
    """Another user of this machine, who has no session."""
    return Browser(browser.app)


@pytest.fixture
def token(context) -> str:
    return token_of(context.keys)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_the_token_is_made_once_for_its_owner_alone(context) -> None:
    made = token_of(context.keys)
    path = context.data / "keys" / TOKEN
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (f"{made}\n", 0o600)
    assert len(made) >= SHORTEST
    assert token_of(context.keys) == made


@pytest.mark.parametrize(
    "text", ["", "\n", "short\n", "x" * SHORTEST + " y\n", "é" * SHORTEST, "a" * SHORTEST + "\n" + "b" * SHORTEST]
)
def test_what_is_no_token_is_refused_rather_than_taken_for_one(context, text) -> None:
    path = context.data / "keys" / TOKEN
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"is no token|is empty"):
        token_of(context.keys)


def test_a_token_that_others_may_read_is_refused(context) -> None:
    token_of(context.keys)
    (context.data / "keys" / TOKEN).chmod(0o640)
    with pytest.raises(ConfigError, match="0600"):
        token_of(context.keys)


def test_a_credential_is_read_and_no_file_is_made(tmp_path) -> None:
    (tmp_path / TOKEN).write_text("t" * 40)
    assert token_of(KeyStore(tmp_path / "keys", credentials=tmp_path)) == "t" * 40
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("path", OPEN)
def test_what_holds_counts_alone_is_for_everybody(stranger, path) -> None:
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
def test_nobody_else_reads_anything(stranger, path) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "content-security-policy" in answer.headers
    if path.startswith("/api/"):
        assert answer.headers["www-authenticate"] == "Bearer"
        assert set(answer.json()) == {"error"}
    else:
        assert 'action="/login"' in answer.text
        assert "INC-" not in answer.text.replace(f'value="{path}"', "")


def test_nobody_else_asks_or_changes_anything(stranger, store, context) -> None:
    assert stranger.post("/exposed", ASKED).status_code == 401
    assert stranger.ask("POST", "/api/exposed", json=ASKED).status_code == 401
    assert stranger.post("/incidents/INC-X/decisions", {"by": "Li", "status": "confirmed"}).status_code == 401
    assert list(audit.entries(context.data / "audit")) == []


def test_the_token_opens_a_session_whose_cookie_is_not_the_token(stranger, token) -> None:
    answer = stranger.log_in(token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert token not in cookie
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}
    assert stranger.get("/").status_code == 200


def test_two_sessions_have_two_ids_and_either_ends_alone(browser, stranger, token) -> None:
    stranger.log_in(token)
    assert stranger.cookies != browser.cookies
    assert stranger.post("/logout").status_code == 303
    assert stranger.get("/").status_code == 401
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", "ullage_session", "ullage_session=", "ullage_session=" + "a" * 43, "other=1; x=2"])
def test_a_cookie_of_no_session_is_nobodys(stranger, cookie) -> None:
    assert stranger.get("/", headers={"cookie": cookie}).status_code == 401


def test_a_session_that_is_not_used_is_over(browser, clock, context) -> None:
    idle = context.settings.search.idle_minutes * 60
    for _ in range(3):
        clock.advance(idle - 1)
        assert browser.get("/").status_code == 200
    clock.advance(idle + 1)
    assert browser.get("/").status_code == 401


def test_a_session_is_over_after_half_a_day_however_much_it_is_used(browser, clock, context) -> None:
    step = context.settings.search.idle_minutes * 60 - 1
    for _ in range(int(12 * 3600 // step)):
        clock.advance(step)
        assert browser.get("/").status_code == 200
    clock.advance(step)
    assert browser.get("/").status_code == 401


def test_a_program_sends_the_token_itself(stranger, token) -> None:
    assert stranger.get("/api/incidents", headers=bearer(token)).json()["items"] == []
    assert stranger.ask("POST", "/api/exposed", json=ASKED, headers=bearer(token)).status_code == 200
    for wrong in (token[:-1], token + "x", "", token.swapcase(), "ü" * 43):
        headers = [(b"authorization", f"Bearer {wrong}".encode("latin-1"))]
        assert stranger.ask("GET", "/api/incidents", headers=headers).status_code == 401
    assert stranger.get("/api/incidents", headers={"authorization": f"Basic {token}"}).status_code == 401


def test_the_token_is_never_taken_from_the_address(stranger, token) -> None:
    assert stranger.get("/", params={"token": token}).status_code == 401
    assert stranger.get("/login", params={"token": token}).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}], ids=str)
def test_another_site_cannot_log_a_browser_in_or_out(browser, stranger, token, headers) -> None:
    assert stranger.post("/login", {"token": token}, headers).status_code == 403
    assert browser.post("/logout", {}, headers).status_code == 403
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/", "/incidents/INC-ABCDEFGHIJ", "/?severity=high&status=open", "/exposed"])
def test_who_had_to_log_in_comes_to_what_was_asked_for(stranger, token, path) -> None:
    page = stranger.get(path).text
    assert f'name="then" value="{path.replace("&", "&amp;")}"' in page
    answer = stranger.post("/login", {"token": token, "then": path})
    assert answer.headers["location"] == path


@pytest.mark.parametrize(
    "then", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\r\nx: y"]
)
def test_a_login_leads_to_no_other_host(stranger, token, then) -> None:
    assert stranger.post("/login", {"token": token, "then": then}).headers["location"] == "/"


def test_a_link_from_elsewhere_can_be_followed_with_the_session_that_there_is(browser, stranger) -> None:
    page = stranger.get("/incidents/INC-ABCDEFGHIJ", headers={"sec-fetch-site": "cross-site"}).text
    assert '<a href="/incidents/INC-ABCDEFGHIJ">I am logged in' in page
    assert "I am logged in" not in stranger.get("/", headers={"sec-fetch-site": "none"}).text


def attempt(stranger: Browser, given: str, how: str):
    if how == "form":
        return stranger.post("/login", {"token": given})
    return stranger.get("/api/incidents", headers=bearer(given))


@pytest.mark.parametrize("how", ["form", "program"])
def test_attempts_are_limited_and_counted(stranger, registry, clock, token, how) -> None:
    for n in range(ATTEMPTS):
        assert attempt(stranger, f"guess-{n}", how).status_code == 401
    limited = attempt(stranger, "guess", how)
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert "guess" not in limited.text
    assert stranger.post("/login", {"token": token}).status_code == 429, "the right one is told from a wrong one"
    counted = {o: registry.get_sample_value("ullage_search_logins_total", {"outcome": o}) for o in ("in", "refused", "limited")}
    assert counted == {"in": 1, "refused": ATTEMPTS, "limited": 2}
    clock.advance(int(limited.headers["retry-after"]))
    assert stranger.log_in(token).status_code == 303


def test_who_is_in_stays_in_while_others_are_refused(browser, stranger, token) -> None:
    for n in range(3 * ATTEMPTS):
        stranger.post("/login", {"token": f"guess-{n}"})
    assert browser.get("/").status_code == 200
    assert stranger.get("/api/incidents", headers=bearer(token)).status_code == 200


def test_a_desk_that_changes_shifts_is_not_limited(stranger, token) -> None:
    for _ in range(3 * ATTEMPTS):
        assert stranger.log_in(token).status_code == 303


def test_the_right_and_a_wrong_token_take_the_same_way(stranger, token, monkeypatch) -> None:
    """Both are digested and compared whole; nothing is looked up or left early."""
    compared = []
    monkeypatch.setattr("alerts.search.door.hmac.compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    for given in (token, "x", token[:-1] + "_", ""):
        stranger.post("/login", {"token": given})
    assert compared == [(64, 64)] * 4


# How often a person may be looked up.


def ask(browser: Browser, how: str, value: str = PHONE):
    if how == "page":
        return browser.post("/exposed", {**ASKED, "value": value})
    return browser.ask("POST", "/api/exposed", json={**ASKED, "value": value})


@pytest.mark.parametrize("how", ["page", "api"])
def test_a_sweep_of_numbers_is_refused_counted_and_audited(browser, registry, clock, context, how) -> None:
    allowed = context.settings.search.lookups_per_minute
    answers = [ask(browser, how, f"138001380{n:02d}") for n in range(allowed + 5)]
    assert [one.status_code for one in answers] == [200] * allowed + [429] * 5
    assert all(1 <= int(one.headers["retry-after"]) <= 60 for one in answers[allowed:])
    assert "13800138" not in "".join(one.text for one in answers[allowed:])
    assert registry.get_sample_value("ullage_search_lookups_total", {"outcome": "limited"}) == 5
    actions = [entry.action for _, entry in audit.entries(context.data / "audit")]
    assert actions == ["lookup"] * allowed + ["lookup.limited"]
    clock.advance(int(answers[-1].headers["retry-after"]))
    assert ask(browser, how).status_code == 200


def test_a_sweep_of_one_session_leaves_the_others_their_own(browser, stranger, token, context) -> None:
    for n in range(context.settings.search.lookups_per_minute + 1):
        last = ask(browser, "api", f"138001380{n:02d}")
    assert last.status_code == 429
    stranger.log_in(token)
    assert ask(stranger, "api").status_code == 200


def test_many_sessions_are_no_way_around(data, store, clock, token) -> None:
    from ullage.settings import Context

    (data / "ullage.toml").write_text("[search]\nlookups_per_minute = 3\nlookups_per_day = 7\n")
    context = Context(data, clock.as_clock())
    context.keys.make("bank/index-1.key")
    app = create_app(context, store, CollectorRegistry(), frozenset({HOST}))
    statuses = []
    for _ in range(4):
        one = Browser(app)
        one.log_in(token)
        statuses += [ask(one, "api").status_code for _ in range(3)]
    assert statuses == [200] * 7 + [429] * 5


# Every look-up is in the audit log.


def test_a_look_up_stands_in_the_audit_log_by_tag_before_it_is_answered(browser, leaked, context, monkeypatch) -> None:
    ask(browser, "page")
    ask(browser, "api", "13900139000")
    ask(browser, "api", "no identifier")
    found = [(e.action, e.actor, e.tenant, e.reason, e.object) for _, e in audit.entries(context.data / "audit")]
    key = context.keys.read("bank/index-1.key")
    tags = [index_tags(key, "bank", "phone", Secret(value))[0] for value in (PHONE, "13900139000")]
    why = "fraud_case, case C-2026-1"
    assert found == [
        ("lookup", "Li Wei", "bank", why, f"phone {tags[0]}: found in 1 incident"),
        ("lookup", "Li Wei", "bank", why, f"phone {tags[1]}: not found"),
        ("lookup", "Li Wei", "", why, "no identifier: refused"),
    ]
    assert [chain.faults for chain in audit.walk_all(context.data / "audit", context.keys)] == [[]]
    log = b"".join(path.read_bytes() for path in (context.data / "audit").rglob("*") if path.is_file())
    assert PHONE.encode() not in log


def test_without_an_entry_there_is_no_answer(browser, leaked, monkeypatch) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ullage.audit.trail.write_through", full)
    for how in ("page", "api"):
        answer = ask(browser, how)
        assert answer.status_code == 500
        assert leaked not in answer.text


def test_audit_list_shows_look_ups(browser, leaked, data, capsys, monkeypatch) -> None:
    from typer.testing import CliRunner

    from ullage.audit_command import app
    from ullage.settings import Context

    ask(browser, "page")
    done = CliRunner().invoke(app, ["list", "--json"], obj=Context(data))
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["chain"], row["action"], row["actor"], row["tenant"]) == ("search", "lookup", "Li Wei", "bank")
    assert row["object"].endswith("found in 1 incident")


# Parameters of the address.

ROUTES = ["/", "/exposed", "/noise", "/login", "/metrics", "/healthz", "/readyz", "/static/ullage.css"]
ROUTES += ["/api/incidents", "/api/openapi.json", "/api/export/csv"]


@pytest.mark.parametrize("path", ROUTES)
def test_a_parameter_that_is_not_known_is_an_error_on_every_route(browser, leaked, path) -> None:
    for query in ({"origin": "ours"}, {PHONE: "1"}, {"Severity": "high"}):
        answer = browser.get(path, params=query)
        assert answer.status_code == 400, query
        assert "not known" in answer.text
        assert PHONE not in answer.text


@pytest.mark.parametrize("path", ["/incidents/{}", "/api/incidents/{}"])
def test_a_parameter_that_is_not_known_is_an_error_of_one_incident_too(browser, leaked, path) -> None:
    assert browser.get(path.format(leaked)).status_code == 200
    assert browser.get(path.format(leaked), params={"limit": 1}).status_code == 400


def test_a_form_is_posted_to_an_address_without_parameters(browser, leaked) -> None:
    assert browser.post("/exposed?origin=ours", ASKED).status_code == 400
    assert browser.ask("POST", "/api/exposed?x=1", json=ASKED, headers=OURS).status_code == 400


def test_the_parameters_that_are_known_are_named(browser) -> None:
    assert "severity, status" in browser.get("/api/incidents", params={"origin": "ours"}).json()["error"]
    assert "takes none" in browser.get("/noise", params={"q": "x"}).text


def test_one_of_two_values_is_not_ignored(browser) -> None:
    answer = browser.get("/api/incidents?severity=high&severity=low")
    assert (answer.status_code, answer.json()["error"]) == (400, "severity: given more than once")
    named = browser.get("/api/export/csv?id=INC-A&id=INC-B").json()["error"]  # of which there may be several
    assert named.startswith("2 of these incidents are not there")
