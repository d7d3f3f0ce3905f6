"""The draft as one page in a language: what markdown and word render, each without content of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerts.report.content import ReportField, Text, sections
from alerts.report.facts import Case, Values, values
from ullage.display.render import moment, safe

TITLE = Text("Personal information breach: notification", "个人信息泄露事件报告")
MARK = Text("Draft, unsent, for review by counsel", "草稿 · 未报送 · 待法务审核")
TO_FILL = Text("to be filled in", "待填写")
NOTE = Text(
    "Made by machine from counts, labels and times; it names no customer. Numbers are of the monitor's findings, not of the "
    "whole leak. Marked fields are for a person to fill in. What is marked as not verified was not checked against the rule's "
    "own text.",
    "本稿由系统根据计数、标签和时间生成，不含任何客户身份信息。人数为监测发现数，不代表泄露总量。标注处须人工填写；"
    "标注“未核对原文”的时限未经法规原文核对。",
)
SHORT = 36
"""Characters up to which both languages stand in one line."""


class Language(StrEnum):
    """What the draft is written in."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"

    def lines(self, text: Text) -> tuple[str, ...]:
        """`text` in this language; both of them in one line where they are short or the same."""
        en, zh = safe(text.en), safe(text.zh)
        if self is Language.BOTH:
            if en == zh:
                return (zh,)
            return (f"{zh} / {en}",) if len(zh) + len(en) <= SHORT else (zh, en)
        return (zh if self is Language.ZH else en,)

    def line(self, text: Text) -> str:
        """`text` in one line."""
        return " / ".join(self.lines(text))


@dataclass(frozen=True, slots=True)
class DraftField:
    """A field: its label, what asks for it, its lines. `open` when a person has to fill it in."""

    label: str
    law: str
    lines: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class DraftSection:
    """A section of the page."""

    heading: str
    items: tuple[DraftField, ...]


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """The whole draft in one language."""

    title: str
    mark: str
    notes: tuple[str, ...]
    parts: tuple[DraftSection, ...]

    @property
    def open(self) -> int:
        """How many fields are left for a person."""
        return sum(item.open for part in self.parts for item in part.items)


def page(case: Case, language: Language) -> ReportDraft:
    """The draft of `case`. The same case gives the same page."""
    known, incident = values(case), case.incident
    head = Text(
        f"Incident {incident.id}, drafted {moment(case.now, case.zone)}",
        f"事件编号{incident.id}，起草于{moment(case.now, case.zone)}",
    )
    step = Text(f"Next: {incident.next_step.text}", f"下一步：{incident.next_step.text_zh}")
    by_when = Text(*case.decide.words(case.now, case.zone)) if case.decide else None
    parts = tuple(
        DraftSection(
            f"{number}. {language.line(Text(section.title, section.title_zh))}",
            tuple(_item(field, known, language) for field in section.field),
        )
        for number, section in enumerate(sections(), 1)
    )
    notes = [line for text in (step, by_when, head, NOTE) if text for line in language.lines(text)]
    return ReportDraft(language.line(TITLE), language.line(MARK), tuple(notes), parts)


def _item(field: ReportField, known: Values, language: Language) -> DraftField:
    found = known.get(field.id)
    lines = [line for text in found or () for line in language.lines(text)]
    if found is None:
        ask = Text(f"[{TO_FILL.en}: {field.ask}]", f"【{TO_FILL.zh}：{field.ask_zh}】")
        lines = list(language.lines(ask))
    law = language.line(Text(field.law, field.law_zh))
    return DraftField(language.line(Text(field.title, field.title_zh)), law, tuple(lines), found is None)
