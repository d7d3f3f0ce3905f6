"""The audit log page names what an entry is about in the reader's language."""

import re
from typing import get_args

import pytest

from alerts.cases.actions import TAKEDOWN
from alerts.cases.decisions import TELLING, describe
from alerts.deadlines import regimes
from alerts.deadlines.outstanding import RULINGS
from alerts.records import Decision
from alerts.records.document import STATUSES, Act, Fraud
from alerts.translation import KIND, catalogue
from alerts.web import audit_targets
from alerts.web.audit_targets import translate_target
from alerts.web.pages.audit import DID
from tests.alerts.browser import ASKER
from tests.messages import read_catalogue
from tests.running.audit_targets import list_untranslated
from ullage.audit.trail import PendingEntry

CHINESE = catalogue("zh").gettext
VALUES = {"assigned": ("", ASKER), "returned": ("expired", "grown"), "takedown": tuple(TAKEDOWN)}
UNDONE = ("assigned", "due", "linked", "unlinked")
CODES = re.compile(r"\b[a-z]{2,}(?:_[a-z]+)*\b", re.ASCII)


def decide(**fields):
    """Return how the audit log describes a decision with these fields."""
    return describe(Decision.model_construct(**{
        "act": "", "value": "", "about": "", "reference": "", "stage": "", "regime": "",
        "status": "note", **fields,
    }))  # fmt: skip


def list_decisions():
    """Return how every kind of decision is described in the audit log."""
    acts = [act for act in get_args(Act) if act not in ("", "excused", "undone")]
    about = {"linked", "unlinked", "merged", "merged_into", "split", "split_from", "detached"}
    numbered = {act: {"about": "INC-B:0f"} for act in acts if "refer" in act or "second" in act}
    numbered["references_asked"] = {"value": "3", "reference": "2026-17"}
    return [
        *(decide(status=status) for status in (*STATUSES, "note")),
        *(decide(stage=stage) for stage in TELLING),
        *(decide(stage=stage, regime=id_) for id_ in regimes() for stage in RULINGS),
        *(decide(stage=stage.id, regime=id_, status="reported")
          for id_, regime in regimes().items() for stage in regime.stages),
        *(decide(act="undone", value=act, about="INC-A:0f") for act in UNDONE),
        *(decide(act=act, value=value, about="INC-B" if act in about else "",
                 **numbered.get(act, {}))
          if act not in numbered else decide(act=act, **numbered[act])
          for act in acts for value in VALUES.get(act, ("",))),
    ]  # fmt: skip


@pytest.mark.parametrize("decision", list_decisions())
@pytest.mark.parametrize("suffix", ["", ", decided by one person", ", confirmed by Li Na"])
def test_every_kind_of_decision_is_shown_in_chinese(decision, suffix):
    target = f"incident INC-A: {decision}{suffix}"
    chinese = translate_target(target, CHINESE)
    assert chinese.startswith("事件 INC-A：")
    assert CODES.findall(chinese.replace("Li Na", "").replace("0f", "")) == []


@pytest.mark.parametrize("outcome", get_args(Fraud))
def test_every_outcome_of_fraud_is_shown_in_chinese(outcome):
    chinese = translate_target(f"incident INC-A: {outcome}", CHINESE)
    assert re.fullmatch(r"事件 INC-A：[\u4e00-\u9fff]+", chinese)


@pytest.mark.parametrize("kind", KIND)
def test_every_kind_that_was_looked_up_is_shown_in_chinese(kind):
    chinese = translate_target(f"{kind} 0f1e: found in 2 incidents, recorded", CHINESE)
    assert chinese == f"{KIND[kind]} 0f1e：见于 2 个事件，已登记"


def test_every_form_of_a_target_keeps_its_values():
    """A translation that drops a value would hide from the auditor what an entry is about."""
    texts = {message.id: message.string for message in read_catalogue() if message.id}
    tables = (name for name in vars(audit_targets) if name.isupper())
    forms = [
        form
        for table in map(vars(audit_targets).__getitem__, tables)
        if isinstance(table, tuple)
        for form in table
    ]
    assert len(forms) > 100
    for form in forms:
        placeholders = re.findall(r"%\(\w+\)s", form)
        assert sorted(placeholders) == sorted(re.findall(r"%\(\w+\)s", texts[form])), form


@pytest.mark.parametrize(
    "target",
    [
        "account Li Wei: something new",
        "incident INC-A: something new",
        "phone 0f1e: something new",
        "something new",
        "",
    ],
)
def test_target_without_a_form_is_shown_as_stored(target):
    assert translate_target(target, CHINESE) == target


def test_untranslated_entries_are_detected():
    entries = [
        PendingEntry("account.login", f"account {ASKER} by password", ASKER),
        PendingEntry("account.login", f"account {ASKER}: by letter", ASKER),
        PendingEntry("account.dance", "INC-A", ASKER),
    ]
    assert "account.login" in DID
    assert list_untranslated(entries) == [
        f"account.login: account {ASKER}: by letter",
        "account.dance",
    ]


def test_page_shows_and_finds_targets_in_the_readers_language(browser):
    for language, shown, hidden in (
        ("zh", f"账号 {ASKER}（密码登录）", "by password"),
        ("en", f"account {ASKER} by password", "密码登录"),
    ):
        answer = browser.get("/audit", headers={"accept-language": language})
        assert shown in answer.text
        assert hidden not in answer.text
    results = browser.get("/audit?words=密码登录", headers={"accept-language": "zh"})
    assert f"账号 {ASKER}（密码登录）" in results.text
