"""The letter that asks for a takedown.

It names no customer, no kind of data beyond words, and no address that was not revealed for it: the places for addresses, the
recipient and the signature stay open. Sources: 民法典 1195 (notice to a network service provider, with prima facie evidence and
the sender's identity), 个人信息保护法 10 (no one may trade or publish others' personal information).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.records import Incident, Sighting
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.settings import Language, Tenant

LANGUAGES: tuple[Language, ...] = ("zh", "en")
OPEN: Mapping[Language, str] = {"zh": "〔待填〕", "en": "[to be filled in]"}
ZH = """\
关于删除侵害个人信息内容的通知

致：{recipient}

{name}（以下简称“我方”）发现贵方服务上存在公开兜售、披露个人信息的内容，其中包含我方客户的个人信息。
依据《中华人民共和国民法典》第一千一百九十五条、《中华人民共和国个人信息保护法》第十条，请贵方：

一、立即删除、屏蔽或断开下列内容的链接，并停止其下载与缓存；
二、保存发布者账号、发布时间及访问日志，以备主管机关依法调取；
三、将处理结果及时间书面告知我方。

涉及内容（我方编号 {id}）：
{places}

初步证据：上述内容于 {first} 至 {last} 经我方监测可公开访问，共 {count} 处；原件已加密留存，可应主管机关要求提供。

通知人：{name}
联系人：{contact}
身份证明材料：{open}
日期：{date}
签章：{open}
"""
EN = """\
Notice to take down posts that disclose personal information

To: {recipient}

{name} ("we") has found posts on your service that offer or disclose personal information, of our customers among others.
Under article 1195 of the Civil Code and article 10 of the Personal Information Protection Law of the People's Republic of China,
or the corresponding rules of your own jurisdiction, we ask you to:

1. remove or block the posts below at once, and stop downloads and caches of them;
2. keep the account, the times of posting and the access logs for the authorities;
3. tell us in writing what was done, and when.

The posts (our number {id}):
{places}

Evidence: they could be read by anybody from {first} to {last}, in {count} places, as our monitor saw them. The originals are
sealed and are handed to an authority that asks for them.

Sender: {name}
Contact: {contact}
Proof of identity: {open}
Date: {date}
Signature: {open}
"""
TEXTS: Mapping[Language, str] = {"zh": ZH, "en": EN}


def letter(
    incident: Incident,
    sightings: Sequence[Sighting],
    tenant: Tenant,
    language: Language,
    now: datetime,
    addresses: Mapping[str, str] | None = None,
) -> str:
    """The letter; `addresses` are those that were revealed for it, by sighting.

    It names the posts that are there, as far as anybody looked; ConfigError where all are known to be gone.
    """
    known, gap, zone = addresses or {}, OPEN[language], ZoneInfo(tenant.zone)
    name = tenant.entity.name if language == "zh" else tenant.entity.name_en or tenant.entity.name
    seen = sorted((one for one in sightings if one.gone_at is None), key=lambda one: (one.fetched_at, one.id))
    if sightings and not seen:
        raise ConfigError(Phrase("all posts of this incident have been removed: nothing to request"))
    places = "\n".join(f"  - {safe(one.site)}: {safe(known.get(one.id, '')) or gap}" for one in seen)
    day = {"zh": "%Y年%m月%d日", "en": "%Y-%m-%d"}[language]

    def shown(when: datetime) -> str:
        return when.astimezone(zone).strftime(f"{day} %H:%M")

    return TEXTS[language].format(
        recipient=gap,
        name=name or gap,
        contact=tenant.entity.contact or gap,
        id=incident.id,
        places=places,
        first=shown(incident.first_seen),
        last=shown(incident.last_seen),
        count=len(seen),
        date=now.astimezone(zone).strftime(day),
        open=gap,
    )
