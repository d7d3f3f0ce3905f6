"""Logging in by an identity provider: who gets in, as what; and whatever is forged, replayed or
out of date does not.
"""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from prometheus_client import CollectorRegistry

from alerts.accounts import sign_on
from alerts.accounts.sign_on import BEGUN, JOURNEY_SECONDS
from alerts.web.app import create_app
from alerts.web.pages.login import JOURNEY_COOKIE
from tests.alerts.browser import ASKER, CHEAP, HOST, PASSWORD, Browser
from tests.alerts.issuer import (
    CLIENT,
    SECRET,
    SUBJECT,
    Issuer,
    by_another_key,
    by_public_key,
    encode_unsigned,
    serving,
)
from ullage import audit
from ullage.errors import ConfigError
from ullage.settings import Context

GRANTS = """
[search.oidc.grants.fraud]
value = "fraud-desk"
roles = ["fraud"]
tenants = ["bank"]
[search.oidc.grants.ops]
value = "platform"
roles = ["operator"]
tenants = ["*"]
[search.oidc.grants.audit]
value = "audit"
roles = ["auditor"]
tenants = ["*"]
[search.oidc.grants.lead]
value = "leads"
roles = ["lead"]
tenants = ["zetalend"]
[search.oidc.grants.analyst]
value = "analysts"
roles = ["analyst"]
tenants = ["bank"]
"""


@pytest.fixture
def issuer(clock):
    with serving(clock) as provider:
        yield provider


@pytest.fixture
def write(data, issuer, clock):
    """Return a function that writes the configuration with `more`, and returns its context."""

    def write_settings(more: str = "", grants: str = GRANTS) -> Context:
        text = (
            f'[search.oidc]\nissuer = "{issuer.url}"\nclient_id ='
            f' "{CLIENT}"\n{more}\n{grants}\n[tenants.bank]\n'
        )
        (data / "ullage.toml").write_text(text + "[tenants.zetalend]\n", encoding="utf-8")
        secret = data / "keys" / "oidc.secret"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        secret.chmod(0o600)
        return Context(data, clock.as_clock())

    return write_settings


@pytest.fixture
def open_console(store, accounts, write):
    """Return a function that serves the console with what is configured to a stranger."""

    def serve_console(more: str = "", grants: str = GRANTS) -> Browser:
        return Browser(
            create_app(
                write(more, grants),
                store,
                accounts,
                CollectorRegistry(),
                frozenset({HOST}),
                hasher=CHEAP,
            )
        )

    return serve_console


def begin(who: Browser, issuer: Issuer, then: str = "/password") -> dict[str, str]:
    """Follow the link on the login page; what the provider is sent."""
    answer = who.get("/login/provider", params={"then": then})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{issuer.url}/authorize?")
    who.cookies |= dict(answer.cookies)
    return issuer.follow(answer.headers["location"])


def back(who: Browser, sent: dict[str, str], **more):
    """Come back as the provider sends one."""
    query = {"code": "c0de", "state": sent["state"], "session_state": "of another kind", **more}
    answer = who.get(
        "/login/back", params={name: value for name, value in query.items() if value is not None}
    )
    who.cookies |= dict(answer.cookies)
    return answer


def entries(context) -> list[tuple[str, str, str]]:
    entries = [
        (entry.action, entry.actor, entry.object)
        for _, entry in audit.read_entries(context.data / "audit")
    ]
    return [entry for entry in entries if entry[0].startswith("account.")]


def test_group_member_gets_an_account_with_the_granted_roles(
    open_console, issuer, accounts, context
) -> None:
    who, issuer.more = (
        open_console(),
        {"groups": ["everybody", "fraud-desk"], "preferred_username": "wang.fang@bank.example"},
    )
    assert "single sign-on" in who.get("/login").text
    answer = back(who, begin(who, issuer))
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/password"' in answer.text
    assert who.get("/").status_code == 200
    user = accounts.get_user("wang.fang@bank")
    assert (user.roles, user.tenants, user.digest, user.is_mapped) == (
        ("fraud",),
        ("bank",),
        None,
        True,
    )
    assert user.subject == f"{issuer.url} {SUBJECT}"
    assert entries(context) == [
        (
            "account.add",
            "identity provider",
            "account wang.fang@bank: fraud of bank; by its groups",
        ),
        ("account.login", "wang.fang@bank", "account wang.fang@bank by the identity provider"),
    ]


def test_removed_group_member_is_out_within_a_quarter_hour(open_console, issuer, clock) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    back(who, begin(who, issuer))
    clock.advance(899)
    assert who.get("/").status_code == 200
    clock.advance(2)
    led = who.get("/noise?x=1")
    assert (led.status_code, led.headers["location"]) == (
        303,
        "/login/provider?then=%2Fnoise%3Fx%3D1",
    )
    assert who.get("/noise").status_code == 401, "once, so that nobody goes in circles"
    assert back(who, begin(who, issuer)).status_code == 200
    assert who.get("/").status_code == 200
    second_browser = Browser(who.app)
    issuer.more["groups"] = []
    assert back(second_browser, begin(second_browser, issuer)).status_code == 403
    assert who.get("/").status_code == 401, "what is learned holds for every session of theirs"


def test_authorization_request_is_bound_to_the_login(open_console, issuer) -> None:
    who, issuer.more = open_console(), {"groups": "fraud-desk", "preferred_username": "Wang Fang"}
    sent = begin(who, issuer)
    assert (sent["response_type"], sent["client_id"], sent["scope"]) == (
        "code",
        CLIENT,
        "openid profile",
    )
    assert (sent["redirect_uri"], sent["code_challenge_method"]) == (
        f"http://{HOST}/login/back",
        "S256",
    )
    assert back(who, sent).status_code == 200
    ((_, headers, form),) = [request for request in issuer.asked if request[0] == "/token"]
    challenge = (
        base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        .rstrip(b"=")
        .decode()
    )
    assert challenge == sent["code_challenge"]
    assert (form["code"], form["grant_type"], form["redirect_uri"]) == (
        "c0de",
        "authorization_code",
        sent["redirect_uri"],
    )
    assert SECRET not in str(form)
    basic = base64.b64decode(
        {name.lower(): value for name, value in headers.items()}["authorization"].split()[1]
    ).decode()
    assert basic == f"{CLIENT}:a+secret+of+the+client%2C+with+spaces+%26+signs"


def test_login_cookie_opens_nothing_and_expires(open_console, issuer) -> None:
    who = open_console()
    answer = who.get("/login/provider")
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "path=/", "samesite=lax", f"max-age={int(JOURNEY_SECONDS)}"} <= attributes
    who.cookies |= dict(answer.cookies)
    assert who.get("/").status_code == 401


# What is forged.


FORGED = {
    "another issuer": ({"iss": "https://elsewhere.example"}, None, "invalid_claim iss"),
    "another audience": ({"aud": "another client"}, None, "invalid_claim aud"),
    "several audiences, azp of another client": (
        {"aud": [CLIENT, "x"], "azp": "x"},
        None,
        "invalid_claim azp",
    ),
    "several audiences without azp": ({"aud": [CLIENT, "x"]}, None, "missing_claim azp"),
    "another nonce": ({"nonce": "of another login"}, None, "invalid_claim nonce"),
    "no nonce": ({"nonce": None}, None, "missing_claim nonce"),
    "expired": ({"exp": 1}, None, "expired"),
    "never expires": ({"exp": None}, None, "missing_claim exp"),
    "issued in the future": ({"iat": 2**40}, None, "invalid_claim iat"),
    "no subject": ({"sub": None}, None, "missing_claim sub"),
    "an empty subject": ({"sub": ""}, None, "sub"),
    "a numeric subject": ({"sub": 7}, None, "invalid_claim sub"),
    "a long subject": ({"sub": "s" * 256}, None, "sub"),
    "an audience object": ({"aud": {"a": 1}}, None, "invalid_claim aud"),
    "at_hash of another access token": (
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        None,
        "invalid_claim at_hash",
    ),
    "algorithm none": ({}, lambda _: encode_unsigned, "unsupported_algorithm"),
    "HS256 signed with the public key": ({}, by_public_key, "unsupported_algorithm"),
    "an unknown key ID": ({}, lambda _: by_another_key("two"), "invalid_key_id"),
    "another key under a known ID": ({}, lambda _: by_another_key("one"), "key"),
    "a malformed token": ({}, lambda _: lambda _claims: "a.b", "ID token"),
    "a numeric token": ({}, lambda _: lambda _claims: 7, "no ID token"),
    "an invalid signature": (
        {},
        lambda one: lambda claims, sign=one.sign: sign(claims)[:-8] + "AAAAAAAA",
        "bad_signature",
    ),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_token_opens_nothing_and_is_audited(
    open_console, issuer, accounts, context, kind
) -> None:
    more, sign, why = FORGED[kind]
    who, issuer.more = (
        open_console(),
        {"groups": ["fraud-desk"], "preferred_username": "Wang Fang", **more},
    )
    issuer.sign = sign(issuer) if sign else issuer.sign
    answer = back(who, begin(who, issuer))
    assert answer.status_code == 403
    assert "is not trustworthy" in answer.text
    assert who.get("/").status_code == 401
    assert [user.name for user in accounts.users()] == [ASKER]
    ((action, actor, detail),) = entries(context)
    assert (action, actor) == ("account.refused", "page")
    assert why in detail
    assert SUBJECT not in detail


def test_valid_token_is_accepted(open_console, issuer) -> None:
    """What the forged ones differ in is what they are refused for."""
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    assert back(who, begin(who, issuer)).status_code == 200
    second_browser = Browser(who.app)
    key = ECKey.generate_key("P-256", {"kid": "next", "use": "sig"})
    issuer.keys, issuer.sign = (
        [key.as_dict(private=False)],
        lambda claims: jwt.encode({"alg": "ES256", "kid": "next"}, claims, key),
    )
    issuer.clock.advance(31)
    assert back(second_browser, begin(second_browser, issuer)).status_code == 200, (
        "a key that is new is fetched"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "x" * 43}, "unknown, already used"),
        ({"state": None}, "unknown, already used"),
        ({"error": "access_denied", "code": None}, "did not log somebody in"),
        ({"code": None}, "did not log somebody in"),
        ({"iss": "https://elsewhere.example"}, "another issuer"),
    ],
)
def test_forged_callback_opens_nothing(open_console, issuer, context, change, says) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    answer = back(who, begin(who, issuer), **change)
    assert answer.status_code == 403
    assert who.get("/").status_code == 401
    assert says in entries(context)[-1][2]


def test_issuer_parameter_is_required_where_announced(open_console, issuer, context) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    issuer.found["authorization_response_iss_parameter_supported"] = True
    assert back(who, begin(who, issuer)).status_code == 403
    assert back(who, begin(who, issuer), iss=issuer.url).status_code == 200


def test_state_is_valid_once_in_its_browser_for_a_time(
    open_console, issuer, clock, context
) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    sent = begin(who, issuer)
    journey = who.cookies[JOURNEY_COOKIE]
    assert back(who, sent).status_code == 200
    who.cookies = {JOURNEY_COOKIE: journey}
    assert back(who, sent).status_code == 403, "replayed"
    thief = Browser(who.app)
    assert back(thief, begin(who, issuer)).status_code == 403, "in a browser that did not begin it"
    second_state = begin(thief, issuer)
    thief.cookies = {JOURNEY_COOKIE: "x" * 43}
    assert back(thief, second_state).status_code == 403, "with a cookie of nobody's"
    late = begin(who, issuer)
    clock.advance(JOURNEY_SECONDS)
    assert back(who, late).status_code == 403, "too late"
    assert [entry[2].partition(": state: ")[2] for entry in entries(context)[2:]] == [
        "unknown, already used, or too old",
        "begun in another browser",
        "begun in another browser",
        "unknown, already used, or too old",
    ]


# Who somebody is here.


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({}, "no group that grants anything"),
        ({"groups": []}, "no group that grants anything"),
        ({"groups": {"fraud-desk": True}}, "no group that grants anything"),
        ({"groups": ["FRAUD-DESK", 7, None]}, "no group that grants anything"),
        ({"groups": ["platform", "audit"]}, "the same person cannot be auditor and operator"),
        ({"groups": ["fraud-desk", "leads"]}, "different roles for different tenants"),
        ({"groups": ["fraud-desk"], "preferred_username": None}, "no name that can be one"),
        (
            {"groups": ["fraud-desk"], "preferred_username": "13800138000"},
            "no name that can be one",
        ),
        ({"groups": ["fraud-desk"], "preferred_username": "x" * 40}, "no name that can be one"),
        ({"groups": ["fraud-desk"], "preferred_username": ASKER.upper()}, "the name is taken"),
    ],
)
def test_user_without_a_grant_gets_no_account(
    open_console, issuer, accounts, context, claims, says
) -> None:
    accounts.add(f"{ASKER}@bank", ["agent"], ["bank"], digest="x", by="test")
    who, issuer.more = open_console(), {"preferred_username": "Wang Fang", **claims}
    assert back(who, begin(who, issuer)).status_code == 403
    assert who.get("/").status_code == 401
    assert [user.name for user in accounts.users()] == [ASKER, f"{ASKER}@bank"]
    assert says in entries(context)[-1][2]
    assert "13800138000" not in str(entries(context))


def test_rejected_user_sees_the_subject_for_an_account(open_console, issuer) -> None:
    who = open_console()
    assert SUBJECT in back(who, begin(who, issuer)).text


def test_groups_of_one_tenant_add_up(open_console, issuer, accounts) -> None:
    who, issuer.more = (
        open_console(),
        {"groups": ["fraud-desk", "analysts"], "preferred_username": "Wang Fang"},
    )
    assert back(who, begin(who, issuer)).status_code == 200
    assert (
        accounts.get_user("Wang Fang@bank").roles,
        accounts.get_user("Wang Fang@bank").tenants,
    ) == (
        ("fraud", "analyst"),
        ("bank",),
    )


def test_changed_groups_change_roles_at_the_next_login_and_end_sessions(
    open_console, issuer, accounts, context
) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    back(who, begin(who, issuer))
    issuer.more["groups"] = ["analysts"]
    second_browser = Browser(who.app)
    assert back(second_browser, begin(second_browser, issuer)).status_code == 200
    assert accounts.get_user("Wang Fang@bank").roles == ("analyst",)
    assert who.get("/").status_code == 401
    assert (
        "account.roles",
        "identity provider",
        "account Wang Fang@bank: analyst of bank; before: fraud of bank",
    ) in entries(context)
    issuer.more["groups"] = []
    assert back(second_browser, begin(second_browser, issuer)).status_code == 403


def test_account_for_a_subject_keeps_its_roles_despite_groups(
    open_console, issuer, accounts
) -> None:
    who = open_console(grants="")
    accounts.add(
        "Zhao Min",
        ["resolver"],
        ["bank"],
        digest=None,
        by="test",
        subject=f"{issuer.url} {SUBJECT}",
    )
    issuer.more = {"groups": ["platform"]}
    assert back(who, begin(who, issuer)).status_code == 200
    assert accounts.get_user("Zhao Min").roles == ("resolver",)
    assert who.log_in("Zhao Min", "").status_code == 401, "there is no password"
    answer = who.post(
        "/password",
        {"old": "", "new": "words that nobody knows", "again": "words that nobody knows"},
    )
    assert "change it at the identity provider" in answer.text


def test_subject_of_another_issuer_is_another_person(open_console, issuer, accounts) -> None:
    accounts.add(
        "Zhao Min",
        ["lead"],
        ["*"],
        digest=None,
        by="test",
        subject=f"https://before.example {SUBJECT}",
    )
    who = open_console()
    assert back(who, begin(who, issuer)).status_code == 403


def test_closed_account_stays_closed(open_console, issuer, accounts, context) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    back(who, begin(who, issuer))
    accounts.set_disabled("Wang Fang@bank", is_disabled=True)
    assert back(who, begin(who, issuer)).status_code == 403
    assert entries(context)[-1][2] == "identity provider: account Wang Fang@bank: is closed"


def test_groups_missing_from_the_token_are_read_from_userinfo(
    open_console, issuer, accounts
) -> None:
    who, issuer.more = open_console(), {"preferred_username": "Wang Fang"}
    issuer.found["userinfo_endpoint"] = f"{issuer.url}/userinfo"
    issuer.info = {"sub": "somebody else", "groups": ["fraud-desk"]}
    assert back(who, begin(who, issuer)).status_code == 403
    issuer.info["sub"] = SUBJECT
    assert back(who, begin(who, issuer)).status_code == 200
    assert accounts.get_user("Wang Fang@bank").roles == ("fraud",)


# A provider that is not there, and one that is wrong.


def down(who: Browser, says: str = "cannot be reached") -> None:
    answer = who.get("/login/provider")
    assert answer.status_code == 503
    assert says in answer.text
    assert 'name="password"' in answer.text
    assert who.log_in(ASKER, PASSWORD).status_code == 303, "people of here log in as ever"


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (302, {}),
        (200, b"<html>"),
        (200, b"[" * 100_000),
        (200, [1]),
        (200, b" " * (600 * 1024) + b"{}"),
        (200, {"issuer": "https://elsewhere.example"}),
    ],
    ids=["broken", "elsewhere", "a page", "nested", "a list", "too long", "another issuer"],
)
def test_faulty_provider_is_reported_and_passwords_still_work(open_console, issuer, answer) -> None:
    who = open_console()
    issuer.answer = lambda *_: answer
    down(who)


@pytest.mark.parametrize(
    "name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"]
)
def test_provider_address_without_tls_is_not_used(open_console, issuer, name) -> None:
    who = open_console()
    issuer.found[name] = "http://login.bank.example/x"
    down(who)


def test_unreachable_provider_is_reported(clock, data, store, accounts, registry, write) -> None:
    context = write()
    with serving(clock) as gone:
        url = gone.url
    text = (data / "ullage.toml").read_text(encoding="utf-8")
    issuer = context.settings.search.oidc.issuer
    (data / "ullage.toml").write_text(text.replace(issuer, url), encoding="utf-8")
    there = Context(data, clock.as_clock())
    down(Browser(create_app(there, store, accounts, registry, frozenset({HOST}), hasher=CHEAP)))
    ((_, look),) = sign_on.parts(there)
    with pytest.raises(ConfigError, match="only with a local password"):
        look()


def test_provider_failing_at_the_code_is_reported(open_console, issuer) -> None:
    who = open_console()
    sent = begin(who, issuer)
    issuer.status = 502
    assert back(who, sent).status_code == 503


def test_logins_started_by_one_source_are_limited(open_console, issuer) -> None:
    who = open_console()
    assert [who.get("/login/provider").status_code for _ in range(BEGUN + 1)] == [303] * BEGUN + [
        429
    ]


def test_login_routes_of_the_provider_exist_only_where_configured(desk) -> None:
    assert [
        desk.get(path).status_code
        for path in ("/login/provider", "/login/back?code=1&state=2", "/login/away")
    ] == [404] * 3
    assert "/login/provider" not in desk.get("/login").text


def test_login_never_redirects_to_another_site(open_console, issuer) -> None:
    for then in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"):
        who, issuer.more = (
            open_console(),
            {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"},
        )
        assert "evil" not in back(who, begin(who, issuer, then)).text


# Out again.


def test_logout_continues_at_the_provider(open_console, issuer) -> None:
    who, issuer.more = open_console(), {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"}
    back(who, begin(who, issuer))
    answer = who.post("/logout")
    assert answer.headers["location"] == "/login?left=provider"
    assert who.get("/").status_code == 401
    assert 'href="/login/away"' in who.get("/login?left=provider").text
    place = who.get("/login/away").headers["location"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    assert place.startswith(f"{issuer.url}/end?")
    assert query == {"client_id": CLIENT, "post_logout_redirect_uri": f"http://{HOST}/login"}


def test_password_login_does_not_log_out_at_the_provider(open_console, issuer) -> None:
    who = open_console()
    who.log_in(ASKER)
    assert who.post("/logout").headers["location"] == "/login"
    del issuer.found["end_session_endpoint"]
    assert who.get("/login/away").status_code == 404


# The configuration.


@pytest.mark.parametrize(
    ("more", "grants", "says"),
    [
        (
            "",
            '[search.oidc.grants.x]\nvalue = "g"\nroles = ["king"]\ntenants = ["*"]',
            "unknown roles",
        ),
        (
            "",
            '[search.oidc.grants.x]\nvalue = "g"\nroles = ["operator", "auditor"]\ntenants = ["*"]',
            "cannot be",
        ),
        (
            "",
            '[search.oidc.grants.x]\nvalue = "g"\nroles = ["lead"]\ntenants = ["nosuch"]',
            "tenant nosuch is unknown",
        ),
        ("", '[search.oidc.grants.x]\nvalue = "g"\nroles = ["lead"]', "a value, roles and tenants"),
        ('ca = "nosuch.pem"', "", "search.oidc.ca"),
        ('proxy = "nowhere"', "", "proxy is not a valid address"),
    ],
)
def test_invalid_configuration_is_reported_at_start(write, accounts, more, grants, says) -> None:
    def start() -> None:
        context = write(more, grants)
        sign_on.open_sign_on(context, accounts, context.trail("search"))

    with pytest.raises(ConfigError, match=says):
        start()


@pytest.mark.parametrize("issuer_", ["http://login.bank.example", "ftp://x", "login.bank.example"])
def test_issuer_without_tls_is_rejected(data, clock, issuer_) -> None:
    (data / "ullage.toml").write_text(
        f'[search.oidc]\nissuer = "{issuer_}"\nclient_id = "x"\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="issuer"):
        Context(data, clock.as_clock())


def test_check_reports_what_is_missing_and_what_works(write, data, issuer) -> None:
    ((name, look),) = sign_on.parts(write())
    assert name == "identity provider"
    assert look() == f"{issuer.url} answers; 5 groups grant something here"
    (data / "keys" / "oidc.secret").unlink()
    with pytest.raises(ConfigError, match=r"secret oidc\.secret is not in"):
        look()
    ((_, look),) = sign_on.parts(write('auth = "none"'))
    assert "answers" in look()


def test_check_has_no_line_without_a_provider(context) -> None:
    assert list(sign_on.parts(context)) == []


def test_console_serves_password_logins_while_the_client_secret_is_missing(
    write, data, store, accounts, issuer
) -> None:
    context, registry = write(), CollectorRegistry()
    (data / "keys" / "oidc.secret").unlink()
    who = Browser(create_app(context, store, accounts, registry, frozenset({HOST}), hasher=CHEAP))
    page = who.get("/login").text
    assert "Single sign-on cannot be used." in page
    assert "/login/provider" not in page
    assert who.log_in(ASKER).status_code == 303
    assert registry.get_sample_value("ullage_search_sign_on_usable") == 0


def test_public_client_names_itself_in_the_form(open_console, issuer) -> None:
    for auth, secret in (("none", None), ("client_secret_post", SECRET)):
        who, issuer.more = (
            open_console(f'auth = "{auth}"'),
            {"groups": ["fraud-desk"], "preferred_username": "Wang Fang"},
        )
        issuer.asked.clear()
        back(who, begin(who, issuer))
        ((_, headers, form),) = [request for request in issuer.asked if request[0] == "/token"]
        assert (form["client_id"], form.get("client_secret")) == (CLIENT, secret)
        assert "authorization" not in {name.lower() for name in headers}
