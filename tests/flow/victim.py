"""Whose values the sweeps look for: a synthetic customer whose title, author, address and text give everything away."""

from __future__ import annotations

from dataclasses import replace

from deploy.demo.people import people

NAME, ADDRESS, PASSWORD = "欧阳靖宇", "上海市徐汇区漕溪北路331号1702室", "Qk7!vexTrout"
VICTIM = replace(next(people(1, 77)), name=NAME)
OTHERS = tuple(people(50, 78))
PLANTED = (VICTIM.phone, VICTIM.resident_id, VICTIM.card, VICTIM.email, NAME, ADDRESS, PASSWORD)
TITLE = f"姓名:{NAME} 手机:{VICTIM.phone} 地址:{ADDRESS} 密码:{PASSWORD} {VICTIM.resident_id}"
AUTHOR = f"{NAME} {VICTIM.phone} {PASSWORD}"
POST = f"{NAME}----{VICTIM.phone}----{VICTIM.resident_id}----{VICTIM.card}----{VICTIM.email}----{ADDRESS}----{PASSWORD}\n"
SLUG = f"https://paste.example.com/t/{NAME}-{VICTIM.phone}-{PASSWORD}"
LEAK = "import matcher.redact as r; r.words = lambda text, *_: text; from ullage.cli import main; main()"
"""A match that keeps titles as they are."""
LEAKED = {VICTIM.phone, VICTIM.resident_id, NAME, ADDRESS, PASSWORD}
"""What it lets out."""
