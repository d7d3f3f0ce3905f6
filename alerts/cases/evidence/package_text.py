"""Write the statement of an evidence package in English and Chinese, from its facts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from alerts.cases.outgoing import OutgoingIncident, OutgoingSighting, Text
from alerts.coverage.signed_days import DayCheck
from alerts.translation import catalogue, translated
from ullage.audit import AuditEntry
from ullage.audit.bait import Stamp
from ullage.display import moment, safe
from ullage.phrase import Phrase
from ullage.records.incomplete import INCOMPLETE
from ullage.settings import Language


@dataclass(frozen=True, slots=True)
class SealedOriginal:
    """A sighting, and the SHA-256 of its encrypted original; "" if none is stored here."""

    sighting: OutgoingSighting
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What an evidence package states."""

    incident: OutgoingIncident
    incomplete: Sequence[str]
    """Why content of the incident was not examined whole, as `INCOMPLETE` explains."""
    is_frozen: bool
    """Whether records behind the counts have expired, so that the counts are fixed."""
    organizations: Mapping[Language, str]
    as_of: datetime
    zone: tzinfo
    version: str
    rules_sha256: str
    originals: Sequence[SealedOriginal]
    custody: Sequence[tuple[str, AuditEntry]]
    """Entries of the audit log with their chain, oldest first."""
    broken_chains: Sequence[str]
    honeytokens: Sequence[Stamp]
    """Recorded lists of honeytokens of the partner whose honeytokens are in the leak."""
    coverage: Sequence[Phrase]
    days: Sequence[DayCheck]
    window: tuple[datetime, datetime]
    has_authority: bool
    """Whether a time-stamping authority (RFC 3161) is configured."""


TITLE = Text("Statement of source", "来源研判")
METHOD = (
    Text(
        "Method: the monitor compares what was posted with keyed hashes of the organization's"
        " customers and of honeytokens, counts what agrees, and takes the source of the first rule"
        " that applies. The reasons above say what was counted.",
        "方法：系统将所发布内容与本单位客户及诱饵数据的带密钥摘要比对，统计相符情况，"
        "按首条适用的规则确定来源。上述理由列明所作计数。",
    ),
    Text(
        "The source is no statement of guilt: it names a copy of the data. No probability is stated"
        " here, because the rules compute none.",
        "来源仅指数据的某一副本，不构成责任认定。规则不计算概率，故此处不作概率陈述。",
    ),
)
LIMITS = (
    Text(
        "No statement by statistics (likelihood ratios) has been added to this package.",
        "本证据包未附统计研判（似然比）。",
    ),
    Text(
        "The posts themselves are not in this package: encrypted originals are opened by two"
        " officers together (`ullage evidence open`).",
        "本证据包不含所发布内容原文；加密原件须由两名取证人员共同开启（`ullage evidence open`）。",
    ),
    Text(
        "Audit logs of other machines, sites that are not monitored and closed groups were not"
        " examined.",
        "未检查其他主机的审计日志、未监测的网站及封闭群组。",
    ),
    Text(
        "Entries about earlier packages are left out of the chain of custody, so that an unchanged"
        " incident gives an unchanged package.",
        "监管链不列先前制作证据包的记录，以保证事件未变时证据包逐字节一致。",
    ),
)
CHECK = Text(
    "To check this package: `ullage evidence verify FILE` on any machine. MANIFEST.json has the"
    " SHA-256 of every part; SIGNATURE.json has the signature on it and the public key, whose"
    " SHA-256 the organization must confirm in another way.",
    "核验方法：在任意主机运行`ullage evidence verify FILE`。MANIFEST.json列出各部分的SHA-256，"
    "SIGNATURE.json含其签名及公钥；公钥的SHA-256须由本单位通过其他途径确认。",
)
STAMPED = Text(
    "A time-stamping authority (RFC 3161) is configured: its token on this package is in the file"
    " beside it with the ending .tsr, its tokens on signed days in coverage-days.json.",
    "已配置时间戳服务机构（RFC 3161）：本证据包的时间戳见同名.tsr文件，各日覆盖记录的时间戳见"
    "coverage-days.json。",
)
UNSTAMPED = Text(
    "No time-stamping authority (RFC 3161) is configured (coverage.timestamp_url), so no external"
    " clock proves when this package existed.",
    "未配置时间戳服务机构（RFC 3161，coverage.timestamp_url），无外部时钟证明本证据包的存在时间。",
)


def list_omissions(facts: PackageFacts) -> list[Text]:
    """List what was not examined, or is not proved, in both languages."""
    return [*_list_missing(facts), *LIMITS]


def _list_missing(facts: PackageFacts) -> Iterator[Text]:
    chinese = catalogue("zh").gettext
    for reason in facts.incomplete:
        words = INCOMPLETE.get(reason, reason)
        yield Text(f"not examined whole: {words}", f"未完整检查：{chinese(words)}")
    if facts.is_frozen:
        yield Text(
            "records behind the counts have expired; the counts are those from before",
            "统计所依据的部分记录已过保存期，数字为过期前所固定",
        )
    unsealed = sum(not original.sha256 for original in facts.originals)
    count = len(facts.originals)
    if unsealed:
        yield Text(
            f"{unsealed} of {count} posts have no encrypted original on this machine",
            f"{count}处中有{unsealed}处在本机无加密原件",
        )
    if facts.incident.has_partner_honeytoken and not facts.honeytokens:
        yield Text(
            "the list of honeytokens has no record in the audit log of this machine",
            "本机审计日志中无该诱饵名单的存证记录",
        )
    for chain in facts.broken_chains:
        yield Text(
            f"the audit log {chain} could not be verified: see `ullage audit verify`",
            f"审计日志{chain}未能通过核验，参见`ullage audit verify`",
        )
    unsigned = [day.day for day in facts.days if not day.digest]
    if unsigned:
        yield Text(
            f"days whose coverage is not signed: {', '.join(unsigned)}",
            f"覆盖记录未签名的日期：{'、'.join(unsigned)}",
        )
    if not facts.has_authority:
        yield UNSTAMPED


def render_statement(facts: PackageFacts, language: Language) -> str:
    """Return the statement as plain text in one language, ending in a newline."""
    number = 0 if language == "en" else 1
    lines = [f"{TITLE[number]} {facts.incident.id}", ""]
    lines += [text[number] for text in _head(facts)]
    for count, (title, texts) in enumerate(_sections(facts), 1):
        lines += ["", f"{count}. {title[number]}", ""]
        lines += [f"- {safe(text[number])}" for text in texts]
    return "\n".join([*lines, ""])


def _head(facts: PackageFacts) -> Iterator[Text]:
    at = moment(facts.as_of, facts.zone)
    name = Text(safe(facts.organizations["en"]), safe(facts.organizations["zh"]))
    if any(name):
        yield name
    yield Text(
        f"From the records up to {at}, by ullage {facts.version}.",
        f"依据截至{at}的记录，由ullage {facts.version}生成。",
    )


def _sections(facts: PackageFacts) -> Iterator[tuple[Text, list[Text]]]:
    incident = facts.incident
    yield Text("Source", "来源"), [incident.origin_words]
    reasons = list(incident.origin_evidence) or [Text("none was recorded", "无记录")]
    yield Text("Reasons, with their counts", "理由及计数"), reasons
    yield Text("Numbers", "数量"), list(_numbers(incident))
    rules = Text(
        f"Version {facts.version}; SHA-256 of the rules in force: {facts.rules_sha256}",
        f"版本{facts.version}；现行规则的SHA-256：{facts.rules_sha256}",
    )
    yield Text("Method and version", "方法与版本"), [*METHOD, rules]
    yield Text("Posts", "发布记录"), [*_originals(facts), *_honeytokens(facts)]
    yield Text("Chain of custody, from the audit log", "监管链（审计日志）"), list(_custody(facts))
    yield (
        Text("Coverage and time stamps", "覆盖与时间戳"),
        [*_coverage(facts), *([STAMPED] if facts.has_authority else [])],
    )
    yield Text("Not examined", "未检查事项"), list_omissions(facts)
    yield Text("How to check", "核验方法"), [CHECK]


def _numbers(incident: OutgoingIncident) -> Iterator[Text]:
    least = Text("at least ", "至少") if incident.is_incomplete else Text("", "")
    yield Text(
        f"customers found: {least.en}{incident.customers:,}; matches that chance cannot explain:"
        f" {incident.verified:,}",
        f"发现客户{least.zh}{incident.customers:,}人，其中可排除偶然匹配{incident.verified:,}人",
    )
    yield Text(
        f"rows in the largest copy: {incident.rows:,}", f"最大一份数据行数：{incident.rows:,}"
    )
    yield Text(
        f"sightings: {incident.sightings:,}, of which gone: {incident.gone:,}",
        f"出现记录{incident.sightings:,}条，其中已不可见{incident.gone:,}条",
    )


def _originals(facts: PackageFacts) -> Iterator[Text]:
    for original in facts.originals:
        sighting, at = original.sighting, moment(original.sighting.at, facts.zone)
        digest = original.sha256
        yield Text(
            f"{sighting.id} on {sighting.site}, collected {at}; encrypted original:"
            f" {f'SHA-256 {digest}' if digest else 'none here'}",
            f"{sighting.id}，网站{sighting.site}，采集于{at}；加密原件："
            f"{f'SHA-256 {digest}' if digest else '本机无'}",
        )


def _honeytokens(facts: PackageFacts) -> Iterator[Text]:
    """Yield the recorded lists of honeytokens, without the name of the partner."""
    for stamp in facts.honeytokens:
        at = moment(stamp.at, facts.zone)
        yield Text(
            f"list of {stamp.customers} honeytokens for one partner, recorded {at}:"
            f" SHA-256 {stamp.sha256}",
            f"仅提供给一家合作方的诱饵名单（虚构客户{stamp.customers}名），存证于{at}："
            f"SHA-256 {stamp.sha256}",
        )


def _custody(facts: PackageFacts) -> Iterator[Text]:
    if not facts.custody:
        yield Text("no entry names this incident or its posts", "无涉及本事件或其记录的条目")
    for chain, entry in facts.custody:
        words = (
            f"{moment(entry.at, facts.zone)}  {entry.actor}  {entry.action}  {entry.object}"
            f"  ({chain} {entry.seq})"
        )
        yield Text(words, words)


def _coverage(facts: PackageFacts) -> Iterator[Text]:
    since, until = (moment(at, facts.zone) for at in facts.window)
    yield Text(f"{since} to {until}:", f"{since}至{until}：")
    for phrase in facts.coverage:
        yield _translate(phrase, facts.zone)
    for day in facts.days:
        status = _translate(day.said, facts.zone)
        yield Text(f"{day.day}: {status.en}", f"{day.day}：{status.zh}")


def _translate(phrase: Phrase, zone: tzinfo) -> Text:
    return Text(*(translated(phrase, catalogue(tag).gettext, zone) for tag in ("en", "zh")))
