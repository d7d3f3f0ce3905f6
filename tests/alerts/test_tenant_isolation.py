"""Nobody of tenant `bank` can tell from anything the console answers what tenant `shop` has, does
or is.

The console is asked for everything it has, every route with every way of asking, by every role of
`bank`: once where there is no `shop`, and once in a copy of the same data folder after people and
programs of `shop` have done all that they may. Status, headers and body must be the same byte for
byte. Routes come from the application itself, so a new one is compared by being there.
"""

import asyncio
import json
import random
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import product
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from alerts.accounts import PEOPLE_ALONE, PERMISSIONS, PURPOSES, ROLES
from alerts.accounts.accounts import Accounts
from alerts.cases import exports
from alerts.cases.feed import EventFeed
from alerts.cases.lookups.lookup import index_tags
from alerts.records import (
    CollectorHeartbeat,
    GapReason,
    Incident,
    Notification,
    Suppression,
    incident_id,
)
from alerts.store import open_store
from alerts.web.app import create_app
from alerts.web.dependencies import allow_any_query, list_routes, walk_dependencies
from tests.alerts.browser import CHEAP, HOST, PHONE, Browser, add_account
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import match
from ullage.security import keys
from ullage.security.masking import Secret
from ullage.settings import Context

TENANTS = ("bank", "shop")
OURS, THEIRS = {"bank": incident_id("fbank"), "shop": incident_id("fshop")}, "shop"
SETTINGS = """\
[search]
lookups_per_day = 400
lookups_per_minute = 400
[notify.channels.on-call]
[notify.channels.bank-team]
[notify.routes.everybody]
channels = ["on-call"]
[notify.routes.bank-night]
tenants = ["bank"]
channels = ["bank-team"]
[notify.routes.both]
tenants = ["bank"]
severity = "low"
channels = ["bank-team"]
[tenants.bank]
zone = "Asia/Tokyo"
"""
OF_SHOP = """\

zone = "Europe/London"
"""
SHARED, SHARED_BY_BOTH = (
    f"[notify.routes.both]\ntenants = {tenants}" for tenants in ('["bank"]', '["bank", "shop"]')
)
MORE = """\
[notify.channels.shop-team]
[notify.routes.shop-night]
tenants = ["shop"]
channels = ["shop-team"]
[tenants.shop]
"""


def field_values(tenant: str) -> dict[str, list]:
    """Return the values to put into each field, for a caller of `tenant`."""
    ids, names = [OURS["bank"], OURS["shop"], "INC-NONE"], ["Wang Fang", "Zhao Min", "Nobody"]
    paths = {"id_": ids, "form": [*exports.names()], "name": names}
    filters = {
        "tenant": ["", *TENANTS, "nosuch"], "after": ["", "x.1"], "limit": ["1", "50"],
        "order": ["opened", "priority"],
        "tab": ["open", "all", "closed", "mine", "new", "due"], "seller": ["@0123456789ab", "x"],
        "q": ["四件套"],
        "severity": ["low"], "flat": ["", "1"],
        "site": ["paste", "board", "elsewhere"], "since": ["3d", "7d"],
        "kind": ["", "phone"], "everything": ["1"],
        "actor": ["", "lead of shop"], "words": ["account", "shop"], "verify": ["", "1"],
    }  # fmt: skip
    forms = {
        "status": ["acknowledged", "confirmed", "resolved", "excused", "assigned", "linked",
        "note"], "decision": ["note"],
        "act": ["acknowledged", "assigned"], "note": ["seen"], "reason": ["chance"], "days": ["30"],
        "to": ["me", "Wang Fang"],
        "incident": ids, "other": ids, "id": ids, "token": [tenant.encode().hex().ljust(16, "0")],
        "by": ["Li"], "who": ["Li"],
        "what": ["incident x", "site paste"], "value": [PHONE, "13900139000"],
        "purpose": ["fraud_case"], "case": ["C-1"],
        "pseudonyms": [[handle("a"), handle("z"), handle("shop0")]],
        "pseudonym": [handle("a"), handle("shop0")],
        "outcome": ["defrauded"], "when": ["2026-09-20T10:00:00+00:00"], "lang": ["", "zh"],
        "language": ["zh"], "then": ["/"],
        "role": ["analyst"], "permission": ["incident.read"], "subject": [""], "text": [""],
        "how": ["colleague"],
    }  # fmt: skip
    return {**paths, **filters, **forms}


PROGRAMS = {
    "program": (
        [
            permission
            for permission in PERMISSIONS
            if permission not in PEOPLE_ALONE | PURPOSES.keys()
        ],
        "siem",
    ),
    "engine": (["exposure.ask"], "risk_engine"),
}
EVERYBODY = (*ROLES, "all", *PROGRAMS)
IN_EVERY_WAY = {"all"}
"""Who asks with every value of every field; the others ask each route once for what of each
tenant a path can name.
"""


class World:
    """A data folder with its console."""

    def __init__(self, data: Path, clock) -> None:
        self.clock, self.context = clock, Context(data, clock.as_clock())
        self.store = open_store("sqlite:///incidents.sqlite", data)
        self.accounts = Accounts(data, self.context.clock)
        registry = CollectorRegistry()
        self.app = create_app(
            self.context, self.store, self.accounts, registry, frozenset({HOST}), hasher=CHEAP
        )

    @property
    def routes(self) -> FastAPI:
        inner = self.app
        while not isinstance(inner, FastAPI):
            inner = inner._app
        return inner

    def close(self) -> None:
        self.store.close()
        self.accounts.close()


def make_world(data: Path, clock, settings: str) -> World:
    (data / "ullage.toml").write_text(settings, encoding="utf-8")
    return World(data, clock)


def populate(world: World, tenant: str) -> None:
    """Incidents, posts, customers, suppressions, messages, notes of coverage, accounts and
    tokens of a tenant.
    """
    store, clock, context = world.store, world.clock, world.context
    keys.make_tenant(context.keys, tenant)
    tag = index_tags(context.keys.read(f"{tenant}/index-1.key"), tenant, "phone", Secret(PHONE))[0]
    numbers = range(1 if tenant == "bank" else 7)
    for n in numbers:
        name, person = f"f{tenant}{n or ''}", handle("a" if tenant == "bank" else f"{tenant}{n}")
        capture = {
            "title": "四件套",
            "url": f"https://paste.example/{name}",
            "author": "@0123456789ab",
        }
        leak_finding = finding(name, range(100 * n, 100 * n + 10), tenant=tenant, capture=capture)
        phone_match = match(subject=person, index_tag=tag)
        fold_all(
            store,
            clock,
            [leak_finding.model_copy(update={"matches": (phone_match,), "alarm": False})],
        )
    now, incident, lead, day = (
        clock.as_clock().now(),
        OURS[tenant],
        f"lead of {tenant}",
        timedelta(days=1),
    )
    assert store.get(Incident, incident)
    silence = {
        "id": f"SUP-{tenant}",
        "tenant": tenant,
        "at": now,
        "by": lead,
        "reason": "known",
        "expires": now + 9 * day,
    }
    gap = {
        "id": f"GAP-{tenant}",
        "since": now - day,
        "until": now,
        "at": now,
        "by": lead,
        "reason": f"known at {tenant}",
    }
    store.create(
        [Suppression(**silence, site="board"), GapReason(**gap, site="", tenants=(tenant,))]
    )
    for n, channel in product(numbers, ("on-call", f"{tenant}-team")):
        message = {
            "id": f"{incident}:{channel}:{n}",
            "tenant": tenant,
            "incident": incident,
            "at": now,
            "due": now - n * day / 99,
        }
        told_of = {"channel": channel, "what": "low", "why": "new", "severity": "low"}
        store.create([Notification(**message, **told_of, outcome="failed" if n else "pending")])
    world.context.trail("command").append(
        "watchlist.load", f"{tenant}: 4 customers", actor="root", tenant=tenant
    )
    for role in ROLES:
        add_account(world.accounts, f"{role} of {tenant}", [role], [tenant])
    add_account(world.accounts, f"all of {tenant}", ["lead", "dpo", "fraud", "auditor"], [tenant])
    add_account(
        world.accounts, "Wang Fang" if tenant == "bank" else "Zhao Min", ["agent"], [tenant]
    )


def enter(world: World, tenant: str, role: str) -> tuple[dict[str, str], dict[str, str]]:
    """Cookies and headers of somebody of that role, or of a program; those of two tenants are
    called the same.
    """
    if role in PROGRAMS:
        scope, purpose = PROGRAMS[role]
        _, token = world.accounts.add_token(
            role, scope, [tenant], purpose=purpose, days=9, by="test"
        )
        return {}, {"authorization": f"Bearer {token}"}
    who = Browser(world.app)
    assert who.log_in(f"{role} of {tenant}").status_code == 303
    return who.cookies, {}


def addresses(path: str, names: list[str], values: dict[str, list]) -> Iterator[str]:
    """Yield a route's path with each combination of values of its names."""
    for chosen in product(*(values.get(name, ["x", *values["id_"]]) for name in names)):
        filled = path
        for name, value in zip(names, chosen, strict=True):
            filled = filled.replace(f"{{{name}}}", str(value))
        yield filled


def fields_of(route) -> tuple[list[str], list[str], list[str]]:
    """Return the names a route takes in its path, query and body."""
    every = [route.dependant, *walk_dependencies(route.dependant)]
    query = (
        []
        if any(dependency.call is allow_any_query for dependency in every)
        else [field.alias for dependency in every for field in dependency.query_params]
    )
    body = list[str]()
    for field in route.dependant.body_params:
        model = getattr(field.field_info.annotation, "model_fields", None)
        body += [*model] if model else [field.alias]
    return [field.alias for field in route.dependant.path_params], [*dict.fromkeys(query)], body


def list_requests(
    app: FastAPI, tenant: str, *, in_every_way: bool
) -> Iterator[tuple[str, str, dict]]:
    """Yield every request: method, address and other arguments.

    Reading requests come first, and again last.
    """
    values_by_name, gets, posts = (
        field_values(tenant),
        list[tuple[str, str, dict]](),
        list[tuple[str, str, dict]](),
    )
    if not in_every_way:
        values_by_name = {
            name: values[: len(TENANTS) if name == "id_" else 1]
            for name, values in values_by_name.items()
        }
    for route in list_routes(app):
        values = values_by_name | (
            {"id_": ["SUP-bank", "SUP-shop"]} if route.path.startswith("/suppressions/") else {}
        )
        path_names, query, body = fields_of(route)
        query = query if in_every_way else []
        for path in (paths := [*addresses(route.path, path_names, values)]):
            query = query if path == paths[0] else []
            if "GET" in route.methods:
                gets.append(("GET", path, {}))
                gets += [
                    ("GET", path, {"params": {name: value}})
                    for name in query
                    for value in values.get(name, ["x"])
                ]
                gets += [("GET", path, {"params": {"tab": "all", "flat": "1", "limit": "1"}})] * (
                    {"tab", "limit"} <= {*query}
                )
            if "POST" in route.methods and path != "/logout":
                plain = {
                    name: tenant if name == "tenant" else values.get(name, ["x"])[0]
                    for name in body
                }
                turned = (
                    [name for name in body if len(values.get(name, [])) > 1 and in_every_way]
                    or body[:1]
                    or [""]
                )
                way = "json" if path.startswith("/v1/") else "data"
                forms = [
                    {**plain, field: value} if field else {}
                    for field in turned
                    for value in values.get(field, ["x"])
                ]
                posts += [("POST", path, {way: form, "params": {}}) for form in forms]
    yield from gets
    yield from posts
    yield from (request for request in gets if in_every_way and not request[2])


def everything(
    world: World, tenant: str, drawn: random.Random, roles: frozenset[str] = frozenset(EVERYBODY)
) -> dict[str, tuple]:
    """Map each request by each role to its answer; `shop` only asks one time for each route."""
    answers = {}
    for role in EVERYBODY:
        drawn.seed(f"{role} of {tenant}")
        cookies, bearer = enter(world, tenant, role) if role in roles else ({}, {})
        if role in roles:
            requests = [
                *list_requests(
                    world.routes, tenant, in_every_way=role in IN_EVERY_WAY and tenant == "bank"
                )
            ]
            answers |= asyncio.run(
                _answers(world, requests, cookies, bearer, f"{role} of {tenant}", drawn)
            )
    return answers


async def _answers(
    world: World, requests: list[tuple[str, str, dict]], cookies, bearer, who: str, drawn
) -> dict[str, tuple]:
    answers = {}
    address = "192.0.2.7" if "of bank" in who else "198.51.100.7"
    transport = httpx.ASGITransport(
        app=world.app, raise_app_exceptions=False, client=(address, 4000)
    )
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        for n, (method, path, more) in enumerate(requests):
            headers = bearer | ({"sec-fetch-site": "same-origin"} if method == "POST" else {})
            client.cookies = httpx.Cookies(cookies)
            drawn.seed(f"{who}{n}")
            answer = await client.request(method, path, headers=headers, **more)
            arguments = json.dumps(more, sort_keys=True, ensure_ascii=False)
            answers[f"{who} {n} {method} {path} {arguments}"] = (
                answer.status_code,
                sorted(answer.headers.items()),
                answer.content,
            )
    return answers


@pytest.fixture
def random_source(monkeypatch) -> random.Random:
    """Replace the sources of randomness by one that can be seeded alike in two worlds."""
    source = random.Random(7)
    monkeypatch.setattr(secrets, "token_bytes", source.randbytes)
    monkeypatch.setattr(secrets, "token_hex", lambda n=32: source.randbytes(n).hex())
    monkeypatch.setattr(secrets, "token_urlsafe", lambda n=32: source.randbytes(n).hex())
    monkeypatch.setattr(secrets, "choice", source.choice)
    return source


@pytest.fixture
def base(data, clock):
    """Return a data folder that knows only tenant `bank`."""
    world = make_world(data, clock, SETTINGS)
    world.store.put([make_heartbeat(clock, {"bank": 4})])
    populate(world, "bank")
    # which names the log of events
    EventFeed(data, world.store, world.context.keys, world.context.clock).page(None, "", 1)
    world.close()
    return data


def make_heartbeat(clock, customers: dict[str, int]) -> CollectorHeartbeat:
    now = clock.as_clock().now()
    return CollectorHeartbeat(
        id="crawl",
        first=now - timedelta(days=3),
        last=now,
        sites={"ok": 2},
        enrolled=sum(customers.values()),
        customers=customers,
    )


@pytest.mark.timeout(900)  # thousands of answers, twice
def test_no_answer_differs_because_of_another_tenant(base, clock, tmp_path, random_source) -> None:
    alone = make_world(shutil.copytree(base, tmp_path / "alone"), clock, SETTINGS)
    two_tenants = make_world(
        shutil.copytree(base, tmp_path / "both"),
        clock,
        SETTINGS.replace(SHARED, SHARED_BY_BOTH) + MORE + OF_SHOP,
    )
    with closing(alone), closing(two_tenants):
        populate(two_tenants, "shop")
        two_tenants.store.put([make_heartbeat(clock, {"bank": 4, "shop": 4_000})])
        everything(two_tenants, "shop", random_source, frozenset({"all", "operator", "program"}))
        ours = everything(alone, "bank", random_source)
        theirs = everything(two_tenants, "bank", random_source)
    assert ours.keys() == theirs.keys()
    answered = {" ".join(what.split()[4:6]) for what, (status, *_) in ours.items() if status < 400}
    assert {
        "POST /accounts/add",
        "POST /exposed",
        "GET /channels",
        "GET /v1/events",
        f"GET /incidents/{OURS['bank']}",
    } <= answered
    differing = [what for what in ours if ours[what] != theirs[what]]
    assert not differing, f"{len(differing)} of {len(ours)} answers differ:\n" + "\n".join(
        map(_make_difference_lines(ours, theirs), differing[:60])
    )


def _make_difference_lines(ours: dict[str, tuple], theirs: dict[str, tuple]):
    """Show where two answers differ."""

    def show_difference(what: str) -> str:
        (status, headers, body), (status_, headers_, body_) = ours[what], theirs[what]
        body_text, body_text_ = body.decode(errors="replace"), body_.decode(errors="replace")
        at = next(
            (n for n, (a, b) in enumerate(zip(body_text, body_text_, strict=False)) if a != b),
            min(len(body_text), len(body_text_)),
        )
        beside = slice(max(0, at - 60), at + 60)
        return (
            f"{what}: {status}/{status_} {set(headers) ^ set(headers_)}: …{body_text[beside]!r}"
            f" …{body_text_[beside]!r}"
        )

    return show_difference
