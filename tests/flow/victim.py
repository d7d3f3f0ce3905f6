"""Whose values the sweeps look for: a synthetic customer whose title, author, address and text
give everything away.
"""

from __future__ import annotations

from dataclasses import replace

from deploy.demo.people import people

NAME, ADDRESS, PASSWORD = "欧阳靖宇", "上海市徐汇区漕溪北路331号1702室", "Qk7!vexTrout"
VICTIM = replace(next(people(1, 77)), name=NAME)
OTHERS = tuple(people(50, 78))
STRANGE = {
    "a Chinese password": "芝麻开门吧老铁",
    "a password in lower case": "correcthorsebattery",
    "a name not enrolled": "诸葛文昭",
    "a name in pinyin": "zhuge wenzhao",
    "an address in English": "42 Elm Street, Springfield",
    "an employer": "恒信达贸易有限公司",
    "a school": "育才第三中学",
    "a number plate": "沪A·8K2Z9",
    "a QQ number": "1888154277",
    "a WeChat id": "wxid_zg1888qq",
    "a nickname": "zhuge_1888",
}
"""What no list and no checksum knows, and what is somebody's all the same."""
PLANTED = (
    VICTIM.phone,
    VICTIM.resident_id,
    VICTIM.card,
    VICTIM.email,
    NAME,
    ADDRESS,
    PASSWORD,
    *STRANGE.values(),
)
TITLE = f"姓名:{NAME} 手机:{VICTIM.phone} 地址:{ADDRESS} 密码:{PASSWORD} {VICTIM.resident_id}"
AUTHOR = f"{NAME} {VICTIM.phone} {PASSWORD}"
POST = (
    f"{NAME}----{VICTIM.phone}----{VICTIM.resident_id}----{VICTIM.card}----{VICTIM.email}"
    f"----{ADDRESS}----{PASSWORD}\n"
)
SLUG = f"https://paste.example.com/t/{NAME}-{VICTIM.phone}-{PASSWORD}"
LEAK = (
    "import matcher.match.redact as r; r.redact_text = lambda text, *_: text;"
    " from ullage.cli import main; main()"
)
"""A match that keeps titles as they are."""
LEAKED = {VICTIM.phone, VICTIM.resident_id, NAME, ADDRESS, PASSWORD, *STRANGE.values()}
"""What it lets out."""
