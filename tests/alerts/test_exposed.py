"""Is this person exposed? What is typed is found, and is nowhere afterwards."""

import hashlib
import os

import pytest

from alerts.cases.lookups.lookup import Lookup, LookupRequest, index_tags
from alerts.records import Audit
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import match
from ullage.errors import ConfigError
from ullage.lookup.values import identifier_in, readings
from ullage.security import keys
from ullage.security.cmac import Cmac, derive_key
from ullage.security.masking import Secret

PHONE, ID, CARD, EMAIL = "13800138000", "11010519491231002X", "6200000000000005", "test@example.com"


@pytest.mark.parametrize(
    ("typed", "kinds"),
    [
        (PHONE, ["phone"]),
        (" １３８ ００１３ ８０００ ", ["phone"]),
        ("+86 138-0013-8000", ["phone"]),
        (ID.lower(), ["resident_id"]),
        ("110105491231002", ["resident_id"]),
        ("6200 0000 0000 0005", ["card"]),
        ("Test@Example.COM", ["email"]),
        ("ｔｅｓｔ＠ｅｘａｍｐｌｅ．ｃｏｍ", ["email"]),
        ("110105194912310021", []),
        ("6200000000000006", []),
        ("李某", []),
        ("", []),
        ("1" * 100_000, []),
    ],
)
def test_value_is_read_as_every_possible_kind(typed, kinds):
    assert [kind for kind, _ in readings(Secret(typed))] == kinds


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (PHONE, "a phone number"), ("客户１３８００１３８０００的", "a phone number"),
        (f"id {ID}", "a resident ID"),
        (CARD, "a card number"), ("x test@example.com y", "a mail address"),
        ("a13800138000b", "a long number"),
        ("138 0013 80", "a long number"), ("银行 客户信息", ""), ("2026-09-21", ""),
        ("INC-ABCDEFGHIJ", ""), ("10w", ""),
    ],
)  # fmt: skip
def test_words_with_an_identifier_are_detected(text, what):
    assert identifier_in(text) == what


@pytest.fixture
def lookup(store, context):
    for tenant in ("bank", "shop"):
        keys.make_tenant(context.keys, tenant)
    return Lookup(store, context.keys, ("bank", "unkeyed"), context.clock, context.trail("search"))


def leak(
    lookup,
    clock,
    name: str,
    text: str,
    kind: str = "phone",
    form: str = "plain",
    tenant: str = "bank",
    epoch: int = 1,
):
    """Store a finding whose match carries the index tag that match would compute."""
    key = derive_key(lookup.keys.read(f"{tenant}/index-{epoch}.key"), "index", tenant, kind, form)
    leak_match = match(
        kind=kind, form=form, subject=handle(name), index_tag=Cmac(key).tag_one(text.encode()).hex()
    )
    leak_finding = finding(
        name, [f"{name}{n}" for n in range(10)], tenant=tenant, index_epoch=epoch
    )
    return fold_all(
        lookup.store,
        clock,
        [leak_finding.model_copy(update={"matches": (leak_match,), "alarm": False})],
    )


def ask(lookup, value: str):
    return lookup.ask(LookupRequest(Secret(value), "Li Wei", "fraud_case", "C-1"))


def digest(form: str, text: str, part: slice = slice(None)) -> tuple[str, str]:
    return form, hashlib.new(form, text.encode()).hexdigest()[part]


DIGESTS = ("md5", "sha1", "sha256")
FORMS = [
    ("phone", PHONE, PHONE, [("plain", PHONE)]),
    ("resident_id", ID, ID, [("plain", ID)]),
    ("card", CARD, CARD, [("plain", CARD)]),
    ("email", EMAIL, EMAIL, [("plain", EMAIL)]),
    ("email", "li+shop@example.com", "li+shop@example.com",
    [("plain", "li@example.com"), digest("md5", "li@example.com")]),
    *(
        (kind, typed, value, [*(digest(form, prefix + value) for form in DIGESTS), digest("md5",
        prefix + value, slice(8, 24))])
        for kind, typed, value, prefixes in (
            ("phone", "+86 138-0013-8000", PHONE, ("", "86", "+86")),
            ("phone", "+852 9123 4567", "+85291234567", ("",)),
            ("resident_id", ID.lower(), ID, ("",)),
            ("email", EMAIL.upper(), EMAIL, ("",)),
        )
        for prefix in prefixes
    ),
    ("phone", PHONE, PHONE, [digest("sha1", f"0086{PHONE}"), digest("md5", f"{PHONE}\n")]),
    ("resident_id", ID, ID, [digest("sha256", ID.lower())]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "typed", "form", "text"),
    [(k, t, *spelling) for k, t, _, spellings in FORMS for spelling in spellings],
)
def test_person_is_found_in_every_form_of_a_value(lookup, clock, kind, typed, form, text):
    leak(lookup, clock, "a", text, kind, form)
    answer = ask(lookup, f" {typed} ")
    assert kind in answer.kinds
    assert [
        (hit.exposure.subject, hit.incident.tenant, hit.status) for hit in answer.exposures
    ] == [(handle("a"), "bank", "open")]


def test_other_person_is_not_found(lookup, clock):
    leak(lookup, clock, "a", PHONE)
    leak(lookup, clock, "b", "13900139000", tenant="shop")
    assert ask(lookup, "13800138001").exposures == ()
    assert ask(lookup, "13800138001").kinds == ("phone",)
    assert ask(lookup, "no identifier").kinds == ()


def test_without_a_key_nobody_is_reported_as_not_found(lookup):
    for tenant in ("bank", "shop"):
        lookup.keys.destroy(f"{tenant}/index-1.key")
    with pytest.raises(ConfigError, match="no tenant has an index key here"):
        ask(lookup, PHONE)
    assert ask(lookup, "no identifier").kinds == ()


def test_every_tenant_and_live_key_generation_is_searched(lookup, clock, context):
    context.keys.make("bank/index-2.key")
    leak(lookup, clock, "old", PHONE, epoch=1)
    clock.advance(60)
    leak(lookup, clock, "new", PHONE, epoch=2)
    clock.advance(60)
    leak(lookup, clock, "theirs", PHONE, tenant="shop")
    assert lookup.everyone() == ["bank", "shop", "unkeyed"]
    assert [hit.exposure.subject for hit in ask(lookup, PHONE).exposures] == [
        handle(n) for n in ("theirs", "new", "old")
    ]
    context.keys.destroy("bank/index-1.key")
    assert [hit.exposure.subject for hit in ask(lookup, PHONE).exposures] == [
        handle(n) for n in ("theirs", "new")
    ]


def test_tags_of_one_value_differ_by_tenant_kind_and_form():
    key = os.urandom(32)
    tags = [
        t
        for tenant in ("a", "b")
        for kind in ("phone", "card")
        for t in index_tags(key, tenant, kind, Secret(PHONE))
    ]
    assert len(set(tags)) == len(tags) == 2 * (19 + 1)


def test_lookup_is_audited_first_and_without_the_value(lookup, clock, data):
    leak(lookup, clock, "a", PHONE)
    ask(lookup, PHONE)
    ask(lookup, "no such value")
    audits = sorted(lookup.store.scroll(Audit, DocumentFilter()), key=lambda audit: -audit.found)
    assert [(a.who, a.purpose, a.case, a.kinds, a.found) for a in audits] == [
        ("Li Wei", "fraud_case", "C-1", ("phone",), 1),
        ("Li Wei", "fraud_case", "C-1", (), 0),
    ]
    stored = b"".join(path.read_bytes() for path in data.glob("incidents*"))
    assert b"Li Wei" in stored
    for form in (PHONE, "nonsense", hashlib.md5(PHONE.encode()).hexdigest()):
        assert form.encode() not in stored


def test_lookup_without_an_audit_entry_is_not_answered(lookup, clock, monkeypatch):
    leak(lookup, clock, "a", PHONE)

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(lookup.store, "create", full)
    with pytest.raises(OSError, match="disk full"):
        ask(lookup, PHONE)
