"""Write the letter that requests a takedown.

It names no customer, describes the kind of data only in general words, and contains only addresses
that were revealed for it; otherwise the places for addresses, the recipient and the signature stay
blank. A sentence is included only if the fact that it asserts is known (`alerts.cases.outgoing`).
Sources: 民法典 1195 (notice to a network service provider, with prima facie evidence and the
sender's identity), 个人信息保护法 10 (no one may trade or publish others' personal information).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.cases.outgoing import OutgoingSighting
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.settings import Language, Tenant

LANGUAGES: tuple[Language, ...] = ("zh", "en")
OPEN: Mapping[Language, str] = {"zh": "〔待填〕", "en": "[to be filled in]"}
ZH = """\
关于删除侵害个人信息内容的通知

致：{recipient}

{name}（以下简称“我方”）发现贵方服务上存在{content}。
依据《中华人民共和国民法典》第一千一百九十五条、《中华人民共和国个人信息保护法》第十条，请贵方：

一、立即删除、屏蔽或断开下列内容的链接，并停止其下载与缓存；
二、保存发布者账号、发布时间及访问日志，以备主管机关依法调取；
三、将处理结果及时间书面告知我方。

涉及内容（我方编号 {id}）：
{places}

初步证据：上述内容于 {first} 至 {last} 为我方监测发现，共 {count} 处{sealed}。

通知人：{name}
联系人：{contact}
身份证明材料：{open}
日期：{date}
签章：{open}
"""
EN = """\
Notice to take down posts that disclose personal information

To: {recipient}

{name} ("we") has found posts on your service that {content}.
Under article 1195 of the Civil Code and article 10 of the Personal Information Protection Law \
of the People's Republic of China,
or the corresponding rules of your own jurisdiction, we ask you to:

1. remove or block the posts below at once, and stop downloads and caches of them;
2. keep the account, the times of posting and the access logs for the authorities;
3. tell us in writing what was done, and when.

The posts (our number {id}):
{places}

Evidence: our monitor saw them from {first} to {last}, in {count} places.{sealed}

Sender: {name}
Contact: {contact}
Proof of identity: {open}
Date: {date}
Signature: {open}
"""
TEXTS: Mapping[Language, str] = {"zh": ZH, "en": EN}


@dataclass(frozen=True, slots=True)
class TakedownNotice:
    """The input of a letter.

    `addresses` are the addresses that were revealed for it, by sighting.
    """

    incident: str
    posts: Sequence[OutgoingSighting]
    name: str
    contact: str
    zone: ZoneInfo
    at: datetime
    addresses: Mapping[str, str]


def notice_of(
    incident: str,
    sightings: Sequence[OutgoingSighting],
    tenant: Tenant,
    language: Language,
    now: datetime,
    addresses: Mapping[str, str] | None = None,
) -> TakedownNotice:
    """Return what a takedown letter states: the posts that may still be online, oldest first.

    Raises ConfigError if no sighting is given, or if all posts have been removed.
    """
    posts = sorted(
        (sighting for sighting in sightings if not sighting.is_gone),
        key=lambda sighting: (sighting.at, sighting.id),
    )
    if not sightings:
        raise ConfigError(
            Phrase(
                "no sighting of this incident is stored any more, so a letter has"
                " nothing to name: choose another incident"
            )
        )
    if not posts:
        raise ConfigError(
            Phrase(
                "all posts of this incident have been removed, so a letter has nothing"
                " to request: choose another incident"
            )
        )
    entity = tenant.entity
    name = entity.name if language == "zh" else entity.name_en or entity.name
    return TakedownNotice(
        incident, posts, name, entity.contact, ZoneInfo(tenant.zone), now, addresses or {}
    )


def render_letter(notice: TakedownNotice, language: Language) -> str:
    """Return the text of a takedown letter to a site, in one language.

    Each place that a person must fill in has the same visible gap.
    """
    gap, posts = OPEN[language], notice.posts
    day = {"zh": "%Y年%m月%d日", "en": "%Y-%m-%d"}[language]

    def format_time(when: datetime) -> str:
        return when.astimezone(notice.zone).strftime(f"{day} %H:%M")

    return TEXTS[language].format(
        recipient=gap,
        name=notice.name or gap,
        contact=notice.contact or gap,
        id=notice.incident,
        content=_describe_content(posts, language),
        places="\n".join(
            f"  - {safe(post.site)}: {safe(notice.addresses.get(post.id, '')) or gap}"
            for post in posts
        ),
        first=format_time(posts[0].at),
        last=format_time(posts[-1].at),
        count=len(posts),
        sealed=_describe_evidence(posts, language),
        date=notice.at.astimezone(notice.zone).strftime(day),
        open=gap,
    )


def _describe_content(posts: Sequence[OutgoingSighting], language: Language) -> str:
    """Return what the posts do with personal information.

    It mentions our customers only if some were found.
    """
    are_offers, are_rows = (
        any(post.is_offer for post in posts),
        any(post.has_rows or post.has_customers for post in posts),
    )
    has_customers = any(post.has_customers for post in posts)
    if language == "zh":
        verbs = (
            "、".join(word for word, is_so in (("兜售", are_offers), ("披露", are_rows)) if is_so)
            or "涉及"
        )
        return f"{verbs}个人信息的内容{'，其中包含我方客户的个人信息' if has_customers else ''}"
    verbs = (
        " or ".join(
            word for word, is_so in (("offer", are_offers), ("disclose", are_rows)) if is_so
        )
        or "concern"
    )
    return (
        f"{verbs} personal information{', of our customers among others' if has_customers else ''}"
    )


def _describe_evidence(posts: Sequence[OutgoingSighting], language: Language) -> str:
    """Return how many originals are sealed; "" if none is."""
    sealed = sum(post.is_sealed for post in posts)
    if not sealed:
        return ""
    which = {
        "zh": "原件" if sealed == len(posts) else f"其中 {sealed} 处的原件",
        "en": "The originals",
    }[language]
    if language == "en" and sealed < len(posts):
        which = f"The originals of {sealed} of them"
    if language == "zh":
        return f"；{which}已加密留存，可应主管机关要求提供"
    return f" {which} are\nkept encrypted and can be handed to an authority that asks for them."
