"""Captures in, findings out, against watchlists that were really built."""

import base64
import hashlib
from datetime import timedelta
from urllib.parse import quote

import pytest

from matcher.match.findings import find_all
from matcher.match.pipeline import Matcher
from matcher.records import rows
from matcher.records.layouts import group_rows
from matcher.watchlist import installation
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone, tokens
from tests.matcher.conftest import BANK
from tests.matcher.unpack.builders import docx_of, pdf_of, xlsx_of, zip_of
from tests.matcher.unpack.test_hostile import set_flags
from ullage.records import FINDING_SCHEMA, Finding
from ullage.settings import Context

ONE = BANK[1]


def find(matcher: Matcher, body: str | bytes, **changes) -> list[Finding]:
    captured = capture(body=body if isinstance(body, bytes) else body.encode(), **changes)
    return find_all(matcher, [captured], captured.fetched_at)


def matches(matcher: Matcher, body: str, **changes) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return [
        (m.kind, m.form, m.confidence, m.own_fields)
        for f in find(matcher, body, **changes)
        for m in f.matches
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ONE["phone"], [("phone", "plain", 70, ("PHONE",))]),
        (ONE["email"].upper(), [("email", "plain", 85, ("EMAIL",))]),
        (ONE["resident_id"].lower(), [("resident_id", "plain", 95, ("ID",))]),
        (f"{ONE['name']},{ONE['phone']}", [("phone", "plain", 99, ("NAME", "PHONE"))]),
        (f"{BANK[2]['name']},{ONE['phone']}", [("phone", "plain", 70, ("PHONE",))]),
        (f"{ONE['name']}\n{ONE['phone']}", [("phone", "plain", 70, ("PHONE",))]),
        (ONE["name"], []),
        (phone(999), []),
        (
            f"{ONE['phone']}|{ONE['resident_id']}",
            [
                ("phone", "plain", 99, ("ID", "PHONE")),
                ("resident_id", "plain", 99, ("ID", "PHONE")),
            ],
        ),
        (
            f"{ONE['phone']}|{BANK[2]['resident_id']}",
            [("phone", "plain", 70, ("PHONE",)), ("resident_id", "plain", 95, ("ID",))],
        ),
        (hashlib.md5(ONE["phone"].encode()).hexdigest(), [("phone", "md5", 70, ("PHONE",))]),
        (
            hashlib.sha256(ONE["email"].encode()).hexdigest().upper(),
            [("email", "sha256", 85, ("EMAIL",))],
        ),
        (hashlib.md5(b"nobody").hexdigest(), []),
    ],
)
def test_matches_have_their_form_and_confidence(bank: Context, body: str, expected: list) -> None:
    assert matches(matcher_of(bank), body) == expected


@pytest.mark.parametrize(
    ("digests", "forms"),
    [("none", []), ("phone", ["phone"]), ("all", ["phone", "resident_id", "email"])],
)
def test_digests_match_only_where_they_are_enrolled(
    context: Context, digests: str, forms: list[str]
) -> None:
    enrol(context, "bank", BANK, digests)
    body = ",".join(
        hashlib.sha1(ONE[kind].encode()).hexdigest() for kind in ("phone", "resident_id", "email")
    )
    assert [
        kind for kind, form, *_ in matches(matcher_of(context), body) if form == "sha1"
    ] == forms


def test_shared_customer_has_a_separate_pseudonym_for_each_tenant(
    bank: Context,
) -> None:
    enrol(bank, "other", [customer(77, phone=ONE["phone"]), customer(78)])
    first, second = find(matcher_of(bank), f"{ONE['phone']}\n{phone(78)}")
    assert [(f.tenant, f.customers, f.total_matches) for f in (first, second)] == [
        ("bank", 10, 1),
        ("other", 2, 2),
    ]
    assert first.matches[0].subject != second.matches[0].subject
    assert first.matches[0].index_tag != second.matches[0].index_tag
    assert first.id != second.id
    assert first.capture == second.capture
    groups = [[(g.fields, g.rows, g.matched) for g in f.statistics.groups] for f in (first, second)]
    assert groups == [[(("PHONE",), 2, 1)], [(("PHONE",), 2, 2)]]


def test_customers_sharing_a_phone_are_both_found(context: Context) -> None:
    enrol(context, "bank", [customer(1), customer(2, phone=phone(1))])
    [finding] = find(matcher_of(context), f"{customer(2)['name']}----{phone(1)}")
    assert sorted(m.own_fields for m in finding.matches) == [("NAME", "PHONE"), ("PHONE",)]
    assert finding.total_subjects == 2


def test_finding_covers_the_whole_capture(bank: Context) -> None:
    rows = [f"{p['name']}----{p['phone']}----2024-05-0{i}" for i, p in enumerate(BANK[1:3], 1)]
    [finding] = find(
        matcher_of(bank),
        "\n".join(
            ["姓名----手机----日期", *rows, f"李某----{phone(500)}----x", "1101051949123100211"]
        ),
    )
    whole = finding.statistics
    assert (whole.rows, whole.candidates, whole.field_map["NAME"]) == (3, {"phone": 3}, 3)
    assert [(g.fields, g.rows, g.matched, g.corroborated) for g in whole.groups] == [
        (("DATE", "NAME", "PHONE"), 3, 2, 2)
    ]
    assert str(whole.newest_date) == "2024-05-02"
    assert whole.skeleton == "<NAME>----<PHONE>----<DATE>"
    assert {m.row for m in finding.matches} == {1, 2}


def test_match_offsets_refer_to_the_decoded_text(bank: Context) -> None:
    text = f"\ufeff李\u200b某 １５４0000\u200b0001，{ONE['email']}"
    [finding] = find(matcher_of(bank), text[1:].encode("utf-16"))
    assert [text[1:][m.start : m.end] for m in finding.matches] == [
        "１５４0000\u200b0001",
        ONE["email"],
    ]
    assert [m.transforms for m in finding.matches] == [("folded",), ()]


def test_over_two_thousand_matches_are_published_in_parts(context: Context) -> None:
    people = [customer(n) for n in range(2500)]
    enrol(context, "bank", people, "none")
    parts = find(matcher_of(context), "\n".join(f"{p['phone']},{p['email']}" for p in people))
    assert [
        (f.part, f.parts, len(f.matches), f.total_matches, f.total_subjects) for f in parts
    ] == [(n, 3, size, 5000, 2500) for n, size in ((1, 2000), (2, 2000), (3, 1000))]
    assert len({f.id for f in parts}) == 1
    assert len({(m.start, m.kind) for f in parts for m in f.matches}) == 5000
    assert all(Finding.decode(f.encode(), FINDING_SCHEMA) == f for f in parts)


def test_finding_id_depends_only_on_the_capture(bank: Context) -> None:
    matcher, body = matcher_of(bank), ONE["phone"]
    [first] = find(matcher, body)
    later = find(
        matcher_of(bank),
        body,
        id="other",
        fetched_at=capture().fetched_at + timedelta(hours=1),
        url="http://x.example/9",
    )
    assert [f.id for f in later] == [first.id]
    assert [f.id for f in find(matcher, body.encode("utf-16"))] == [first.id]
    variants = [
        find(matcher, f"{body}!"),
        find(matcher, body, site="other"),
        find(matcher, body, post_id="43"),
    ]
    assert len({first.id, *(f.id for [f] in variants)}) == 4


def test_batch_gives_the_same_findings_as_single_captures(bank: Context) -> None:
    bodies = [
        "",
        ONE["phone"],
        "nothing",
        f"{BANK[2]['email']},{BANK[3]['phone']}",
        "",
        BANK[4]["resident_id"],
    ]
    captures = [capture(post_id=str(n), body=body.encode()) for n, body in enumerate(bodies)]
    matcher, now = matcher_of(bank), captures[0].fetched_at
    alone = [f for captured in captures for f in find_all(matcher, [captured], now)]
    assert find_all(matcher, captures, now) == alone
    assert [f.capture.post_id for f in alone] == tokens(bank, "1", "3", "5")


def test_brand_beside_jargon_is_a_finding_without_matches(bank: Context) -> None:
    matcher = matcher_of(bank, brands={"bank": ["某某银行"]})
    [alarm] = find(matcher, "某某银行 内料出售")
    assert (alarm.alarm, alarm.total_matches, alarm.statistics.brands, alarm.part, alarm.parts) == (
        True,
        0,
        ("某某银行",),
        1,
        1,
    )
    assert find(matcher, "内料出售") == find(matcher, "某某银行") == []
    [titled] = find(matcher, "x", title="某某银行 内料")
    assert titled.alarm
    [finding] = find(matcher, f"某某银行 内料 {ONE['phone']}")
    assert finding.alarm
    assert finding.total_matches


ROW = f"{ONE['phone']} 2021-03-04"
CORE = (
    b"<cp:coreProperties><dc:creator>a@example.com</dc:creator><dcterms:created>"
    b"2026-09-01T08:00:00Z</dcterms:created></cp>"
)
CELLS = (
    f'<row><c t="inlineStr"><is><t>{ONE["phone"]}</t></is></c><c'
    ' t="inlineStr"><is><t>{}</t></is></c></row>'
)
FILES = {
    "workbook": xlsx_of({"S": CELLS.format("2021-03-04")}, more={"docProps/core.xml": CORE}),
    "document": docx_of(
        f"<w:p><w:r><w:t>{ROW}</w:t></w:r></w:p>",
        {"docProps/core.xml": CORE, "docProps/custom.xml": CORE},
    ),
    "slides and sheets": zip_of(
        {
            "mimetype": b"",
            "styles.xml": b"<s/>",
            "meta.xml": CORE,
            "content.xml": f"<p>{ROW}</p>".encode(),
        }
    ),
    "PDF": pdf_of(ROW, trailer="/Info << /CreationDate (D:20260901080000) /Title (2026-09-01) >>"),
    "mail": (
        "MIME-Version: 1.0\nFrom: a@example.com\nX-Sent: a@example.com 2026-09-01\nSubject:"
        f" x\n\n{ROW}\n".encode()
    ),
    "post": f"2026-09-01 最新\n{ROW}\n更新于 2026-09-01".encode(),
}


@pytest.mark.parametrize("what", FILES)
def test_newest_date_comes_from_rows_not_file_metadata(bank: Context, what: str) -> None:
    for body, newest in (
        (FILES[what], "2021-03-04"),
        (xlsx_of({"S": CELLS.format("x")}, more={"docProps/core.xml": CORE}), "None"),
    ):
        [finding] = find(matcher_of(bank), body)
        assert str(finding.statistics.newest_date) == newest
    [finding] = find(matcher_of(bank), FILES["workbook"])
    # what the file says of itself is read all the same
    assert finding.statistics.candidates == {"email": 1, "phone": 1}


LOCKED = set_flags(zip_of({"a.csv": b"x" * 99}), 1)


def test_unreadable_file_beside_a_brand_is_a_finding(bank: Context) -> None:
    enrol(bank, "other", [customer(1)])
    matcher = matcher_of(bank, brands={"bank": ["某某银行"], "other": ["另一银行"]})
    [offered] = find(matcher, LOCKED, title="出售某某银行 内料")
    [named] = find(matcher, LOCKED, title="某某银行 客户.zip")
    assert (offered.tenant, offered.total_matches, offered.statistics.unread) == (
        "bank",
        0,
        {"encrypted": 1},
    )
    assert (named.tenant, named.alarm, named.statistics.brands) == ("bank", False, ("某某银行",))
    [inside] = find(
        matcher,
        zip_of({"note.txt": "某某银行".encode(), "rows.png": b"\x89PNG\r\n\x1a\n"}),
        title="x",
    )
    assert inside.statistics.unread == {"image": 1}
    assert len(find(matcher, LOCKED, title="某某银行 另一银行")) == 2
    assert find(matcher, LOCKED, title="出售 内料") == find(matcher, LOCKED, title="x") == []
    assert find(matcher, zip_of({"a.csv": b"x"}), title="某某银行 客户.zip") == []


PLANTED = {
    **{kind: ONE[kind] for kind in ("name", "phone", "resident_id", "email")},
    "reference": ONE["customer_ref"],
    "address": "建国路88号",
    "password": "Passw0rd!x",
}


def forms_of(value: str) -> list[bytes]:
    raw = value.encode()
    digests = [hashlib.new(form, raw).hexdigest().encode() for form in ("md5", "sha1", "sha256")]
    wide = [value.encode(encoding) for encoding in ("utf-16-le", "utf-16-be", "gb18030")]
    return [
        raw,
        quote(value, safe="").encode(),
        base64.b64encode(raw).rstrip(b"="),
        raw.hex().encode(),
        *digests,
        *wide,
    ]


def test_finding_contains_no_value_in_any_form(bank: Context) -> None:
    value = " ".join(PLANTED.values())
    hostile = {"title": value, "author": ONE["phone"], "url": f"http://a.example/{quote(value)}",
        "channel": ONE["email"],
               "thread": ONE["phone"], "post_id": ONE["resident_id"]}  # fmt: skip
    body = (
        f"姓名:{ONE['name']},手机:{ONE['phone']},{value},"
        f"{hashlib.md5(ONE['phone'].encode()).hexdigest()}"
    )
    [finding] = find(matcher_of(bank), body, **hostile)
    written = finding.encode().lower() + repr(finding).lower().encode()
    assert finding.total_matches >= 4
    assert [
        kind for kind, v in PLANTED.items() for form in forms_of(v) if form.lower() in written
    ] == []
    clear = Finding.decode(
        finding.encode().replace(b'"site":"paste"', f'"site":"{ONE["phone"]}"'.encode()),
        FINDING_SCHEMA,
    )
    assert ONE["phone"].encode() in clear.encode()  # and a leak would be seen


def test_both_key_generations_match_during_rotation(bank: Context) -> None:
    bank.keys.make("bank/match-2.key")
    assert matches(matcher_of(bank), ONE["phone"]) == [("phone", "plain", 70, ("PHONE",))]
    enrol(bank, "bank", [*BANK[1:], customer(50)])
    matcher = matcher_of(bank)
    old, in_both, new = (find(matcher, p)[0] for p in (phone(0), ONE["phone"], phone(50)))
    assert (old.epoch, in_both.epoch, new.epoch) == (1, 2, 2)
    handles = [
        find(matcher_of(bank), ONE["phone"])[0].matches[0].subject,
        in_both.matches[0].subject,
    ]
    assert len(set(handles)) == 1
    bank.keys.destroy("bank/match-1.key")
    assert [lists.epochs[0].number for lists in installation.load(bank)] == [2]
    assert find(matcher_of(bank), phone(0)) == []


def test_finding_tag_differs_from_the_watchlist_tag(bank: Context) -> None:
    [finding] = find(matcher_of(bank), ONE["phone"])
    file = next((bank.data / "watchlists" / "bank").iterdir()).read_bytes()
    tag = bytes.fromhex(finding.matches[0].index_tag)
    assert tag not in file
    assert tag[::-1] not in file


def test_expired_watchlist_is_not_used(bank: Context, clock) -> None:
    [lists] = installation.load(bank)
    clock.seconds = lists.expires.timestamp()
    assert installation.load(bank) == []


def test_masked_value_only_corroborates_other_matches(bank: Context) -> None:
    masked = f"{ONE['phone'][:3]}****{ONE['phone'][-4:]}"
    assert matches(matcher_of(bank), masked) == []
    [finding] = find(matcher_of(bank), f"{masked},{ONE['email']}")
    assert {(m.kind, m.form, m.own_fields) for m in finding.matches} == {
        ("email", "plain", ("EMAIL", "PHONE")),
        ("phone", "masked", ("EMAIL", "PHONE")),
    }
    assert [round(1 / m.coincidence) for m in finding.matches if m.form == "masked"] == [530_000]
    mask = f"{BANK[2]['phone'][:3]}****9999"
    assert matches(matcher_of(bank), f"{mask},{ONE['email']}") == [
        ("email", "plain", 85, ("EMAIL",))
    ]


def test_email_matches_with_and_without_plus_tag(context: Context) -> None:
    enrol(
        context,
        "bank",
        [customer(1, email="li+shop@example.com"), customer(2, email="wang@example.com")],
    )
    matcher = matcher_of(context)
    for body in ("li+shop@example.com", "li@example.com", "wang+x@example.com", "wang@example.com"):
        assert [m.kind for f in find(matcher, body) for m in f.matches] == ["email"], body
    assert find(matcher, "li+other@example.net") == []


@pytest.mark.parametrize("form", ["{}", "86{}", "+86{}"])
@pytest.mark.parametrize("part", [slice(None), slice(8, 24)])
def test_phone_digests_match_with_and_without_country_code(
    bank: Context, form: str, part: slice
) -> None:
    digest = hashlib.md5(form.format(ONE["phone"]).encode()).hexdigest()[part]
    assert matches(matcher_of(bank), f"u1:{digest}") == [("phone", "md5", 70, ("PHONE",))]


def test_own_domain_logins_and_own_range_cards_need_no_enrolment(
    context: Context,
) -> None:
    enrol(context, "bank", [customer(1, card="6200000000000005"), customer(2)])
    tables = '[tenants.bank]\ndomains = ["bank.example"]\nbins = ["620000"]\n'
    (context.data / "ullage.toml").write_text(tables, encoding="utf-8")
    matcher = matcher_of(context)
    lines = (
        "https://m.bank.example/login:user1:secret1\n"
        "https://m.bank.example/login:user1:secret1\nbank.example|user2|secret2"
    )
    [finding] = find(matcher, lines)
    assert (finding.alarm, finding.statistics.logins, finding.total_matches) == (False, 2, 0)
    assert "secret1" not in finding.encode().decode()
    [cards] = find(
        matcher, "6200000000000005\n6200000000000013\n6200000000000013\n6200000000000021"
    )
    assert (cards.statistics.own_cards, cards.total_matches) == (2, 1)


def test_card_failing_luhn_matches_only_beside_a_label(context: Context) -> None:
    enrol(context, "bank", [customer(1, card="6200000000000006")])
    matcher = matcher_of(context)
    assert find(matcher, "6200000000000006") == []
    assert [
        (m.kind, m.form) for f in find(matcher, "卡号:6200000000000006") for m in f.matches
    ] == [("card", "plain")]


def test_long_capture_is_matched_across_its_windows(context: Context) -> None:
    people = [customer(n) for n in range(40)]
    enrol(context, "bank", people, "none")
    filler = "".join(f"{n},李某,{phone(5_000_000 + n)},x\n" for n in range(4000))
    body = "编号,姓名,手机,邮箱\n" + "".join(
        f"{n},{p['name']},{p['phone']},{p['email']}\n{filler}" for n, p in enumerate(people)
    )
    assert len(body.encode()) > 3 * 2**20  # and a window is of 2 MiB
    [finding] = find(matcher_of(context), body)
    assert (finding.total_matches, finding.total_subjects) == (80, 40)
    assert finding.statistics.rows == 40 * 4001
    assert {m.own_fields for m in finding.matches} == {("EMAIL", "NAME", "PHONE")}
    assert all(
        body[m.start : m.end] == people[(m.row - 1) // 4001][m.kind] for m in finding.matches
    )


def test_container_members_are_matched_in_one_batch(bank: Context, monkeypatch) -> None:
    """One by one, each of the 99,000 parts of a mail took 0.4 ms."""
    called = []
    monkeypatch.setattr(
        rows, "group_rows", lambda *given: called.append(len(given[1])) or group_rows(*given)
    )
    for members in (3, 300):
        parts = b"".join(b"--b\n\n%s\n" % phone(n).encode() for n in range(members))
        body = (
            b"MIME-Version: 1.0\nFrom: a\nTo: b\nContent-Type: multipart/mixed; boundary=b\n\n"
            + parts
            + b"--b--\n"
        )
        assert [f.statistics.rows for f in find(matcher_of(bank), body)] == [members]
    # those with customers, then the others, headers among them
    assert (len(called), sum(called)) == (4, 305)
