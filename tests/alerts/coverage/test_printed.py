"""The sheet to print: all of it in one signed file, without anything that runs or is fetched."""

import re
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from alerts.coverage.report import ReportOrigin, format_organizations, render_report
from alerts.coverage.signed_days import DayCheck
from alerts.records import GapReason
from tests.alerts.coverage.heartbeats import HOUR, NINE, Alert, beat
from ullage.errors import RecordError
from ullage.security import keys
from ullage.security.signing import TOPIC, Signer, Verifier, verify_report
from ullage.settings import Context, Entity, Tenant

ZONE = ZoneInfo("Asia/Shanghai")
SHEETS = [
    DayCheck(
        "2026-09-21",
        True,
        "signed by alert 0123456789abcdef, not time-stamped: no authority is configured",
        "a" * 64,
    )
]
REASON = "<script>alert(1)</script> 停电"


class Tags(HTMLParser):
    """Elements, and attributes that fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.names, self.active = list[str](), set[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.active += [
            name for name, _ in attrs if name in {"src", "href", "action"} or name.startswith("on")
        ]
        if tag not in {"meta", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def signer(context: Context) -> Signer:
    return keys.load_signer(context.keys, "alert")


@pytest.fixture
def verifier(context: Context) -> Verifier:
    return keys.load_verifier(context.keys, TOPIC)


@pytest.fixture
def night(alert: Alert) -> Alert:
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 2 * HOUR, "pastes")
    alert.hear(beat(NINE + 2 * HOUR, "old", "d"))
    alert.at(NINE + 2.25 * HOUR)
    return alert


def sheet(alert: Alert, signer: Signer | None, sheets: list[DayCheck] = SHEETS) -> str:
    return render_report(
        alert.report(),
        sheets,
        ReportOrigin(alert.clock.as_clock().now(), "li", ZONE, ZONE.key),
        signer,
    )


def verdict(text: str) -> str:
    return re.findall(r'<p class="verdict[^>]*>([^<]*)<', text)[0]


def test_printed_report_is_one_file_that_runs_and_fetches_nothing(
    night: Alert, signer: Signer
) -> None:
    reason = {
        "since": NINE + HOUR,
        "until": NINE + 2 * HOUR,
        "at": NINE,
        "by": "Li",
        "reason": REASON,
    }
    night.store.create([GapReason(id="GAP-1", site="", **reason)])
    text, tags = sheet(night, signer), Tags()
    tags.feed(text)
    assert (tags.open, tags.active) == ([], [])
    assert tags.names >= {"header", "main", "footer"}
    assert "<th></th>" not in text
    assert not tags.names & {"script", "img", "link", "iframe", "object", "form"}
    assert "url(" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 停电 (Li, 2026-09-21 17:00 CST)" in text
    assert verdict(text) == "All coverage gaps are explained."


def test_printed_report_begins_with_the_verdict(night: Alert, signer: Signer) -> None:
    text = sheet(night, signer)
    assert verdict(text) == "1 unexplained coverage gap."
    assert "2026-09-21 18:00–19:00 (1 h 00)" in text
    assert "known but not monitored: old: switched off in its file" in text
    changed = DayCheck("2026-09-21", False, "CHANGED since it was signed", "a" * 64)
    assert (
        verdict(sheet(night, signer, [changed]))
        == "The coverage log was changed after it was signed: this report proves nothing."
    )


def test_changed_byte_and_foreign_signature_are_reported(
    night: Alert, signer: Signer, verifier: Verifier, context
) -> None:
    text = sheet(night, signer)
    assert verify_report(text, verifier) == signer.name
    for wrong in (
        text.replace("1 unexplained", "0 unexplained"),
        text + " ",
        text.replace("</html>", ""),
        "",
        text.replace("SHA-256 ", ""),
    ):
        with pytest.raises(RecordError):
            verify_report(wrong, verifier)
    with pytest.raises(RecordError) as caught:
        verify_report(sheet(night, keys.load_signer(context.keys, "match")), verifier)
    assert caught.value.reason == "unknown_signer"
    unsigned = sheet(night, None)
    assert "NOT SIGNED" in unsigned
    with pytest.raises(RecordError):
        verify_report(unsigned, verifier)


def test_every_printed_page_has_its_organization_and_number(night: Alert, signer: Signer) -> None:
    origin = ReportOrigin(
        night.clock.as_clock().now(), "li", ZONE, ZONE.key, organization='A "bank" </style><script>'
    )
    text, tags = render_report(night.report(), SHEETS, origin, signer), Tags()
    tags.feed(text)
    assert "script" not in tags.names
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert r'@top-left { content: "A \22 bank\22  \3c \2f style\3e \3c script\3e "; }' in style
    assert "@bottom-right { content: counter(page)" in style
    assert re.findall(r'<p class="sign">(.*)</p>', text) == [
        "<span>Prepared by</span><span>Date</span><span>Reviewed by</span><span>Date</span>"
    ]


def test_organization_is_that_of_the_visible_tenants(context: Context) -> None:
    bank, shop = Entity(name="某某银行", name_en="Example Bank"), Entity(name="某某商店")
    settings = context.settings.model_copy(
        update={"tenants": {"bank": Tenant(entity=bank), "shop": Tenant(entity=shop)}}
    )
    assert format_organizations(settings, ["bank"], "en") == "Example Bank"
    assert format_organizations(settings, ["shop", "bank"], "zh") == "某某银行、某某商店"
    assert format_organizations(settings, ["unknown"], "zh") == ""
