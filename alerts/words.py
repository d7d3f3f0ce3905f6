"""Chinese beneath the English, for the words that a fraud team works with; on the page, in messages and in reports."""

from __future__ import annotations

from ullage.identifiers import kinds
from ullage.verdict.severity import IN_CHINESE
from ullage.verdict.words import FIELDS

SEVERITY = IN_CHINESE
STATUS = {
    "open": "待处理",
    "acknowledged": "已受理",
    "confirmed": "已确认",
    "reported": "已上报",
    "resolved": "已处置",
    "false_positive": "误报",
    "note": "备注",
}
ORIGIN = {
    "ours": "与我方记录相符",
    "partner": "含仅提供给一家合作方的诱饵数据",
    "devices": "终端窃取",
    "elsewhere": "系他处数据",
    "recycled": "旧料翻炒",
    "fabricated": "编造",
    "unknown": "来源不明",
}
"""Never who leaked: a draft to an authority that says so is an admission."""
KIND = {**{kind.name: kind.noun_zh for kind in kinds().values()}, "name": "姓名"}
FIELD = {**{str(label): chinese for label, (_, chinese) in FIELDS.items()}, "OTHER": "其他字段"}
ROLE = {
    "operator": "系统运维",
    "agent": "客服坐席",
    "fraud": "反欺诈",
    "analyst": "分析员",
    "lead": "负责人",
    "dpo": "个保负责人",
    "resolver": "客户身份还原",
    "evidence": "取证员",
    "auditor": "审计员",
}
ENGLISH = {
    "field": {**{str(label): english for label, (english, _) in FIELDS.items()}, "OTHER": "other fields"},
    "kind": {"resident_id": "resident ID", "iban": "IBAN", "qq": "QQ", "uscc": "company code", "wechat": "WeChat"},
    "role": {"dpo": "DPO", "evidence": "evidence officer"},
}
"""Of what is not called in English as it is named."""


def spaced(word: str) -> str:
    """A word of ours as people write it.

    >>> spaced('false_positive')
    'false positive'
    """
    return word.replace("_", " ")
