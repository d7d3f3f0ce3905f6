"""Posts that give somebody away in every place that a post has: what stands around the text, and
what it is packed into.

Each holds a row of the victim, so that match publishes a finding of it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from urllib.parse import quote

from crawlers.publishing.outbox import CaptureOutbox, new_id
from harness.bench.recall import containers as made
from tests.flow.victim import NAME, PASSWORD, POST, STRANGE, VICTIM
from ullage.bus import CAPTURES, Outgoing
from ullage.records import CAPTURE_SCHEMA, Capture
from ullage.security import keys
from ullage.security.capture_seal import CaptureSealer
from ullage.settings import Context

ROW = f"{VICTIM.name}----{VICTIM.phone}----{VICTIM.resident_id}"
ALL = " ".join(STRANGE.values())
CLAIM = "内料 一手数据 30万条 500u tg 加QQ 1888154277"
COLLECTOR = "ingest"
"""Whose signature the posts have: a collector's of somebody else."""


def lines() -> list[dict[str, str]]:
    """Lines for ingest: each value as title, author, place, category and part of an address, and
    in the text.
    """
    return [
        {
            "site": value,
            "category": value,
            "url": (
                f"https://{value.replace(' ', '.')}.example/138/{quote(value)}/0013/8000"
                f"?q={value}#{value}"
            ),
            "title": f"内料 {value} <b>{value[:2]}</b>{value[2:]} 154 中 1825 间 1888",
            "author": value,
            "text": f"{CLAIM} {value}\n{POST}",
        }
        for value in STRANGE.values()
    ]  # fmt: skip


def captures() -> Iterator[Capture]:
    """Yield captures as a collector of chats and files would hand them in."""
    texts = dict.fromkeys(
        "title author channel thread message_id reply_to parent source post_id platform".split(),
        ALL,
    )
    body = f"{CLAIM}\n{ROW}\n{ALL}\n"
    yield _capture(
        **texts,
        attachments=(ALL, NAME),
        headers=(("X-From", ALL),),
        kind="message",
        body=body.encode(),
    )
    for number, (name, packed) in enumerate(_pack(body)):
        yield _capture(post_id=f"{name} {number}", title=ALL, body=packed)
    page = (
        f"<html><head><title>{ALL}</title></head><!-- {ALL} --><body><p>{body}</p><a"
        f" href='//x/{ALL}'>x</a></body></html>"
    )
    yield _capture(post_id="page", body=page.encode(), media_type="text/html")


def _pack(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield kind and bytes of containers that are named after people and passwords.

    Their members, folders, sheets, fields and descriptions are.
    """
    body, name = text.encode(), STRANGE["a name not enrolled"]
    folder = f"{STRANGE['a Chinese password']}/{PASSWORD}/{name}_{VICTIM.resident_id}"
    inner = made.parts(
        {
            f"{folder}/{STRANGE['a nickname']}.csv": body,
            f"{STRANGE['an employer']}.csv.gz": gzip.compress(body),
        }
    )
    yield "zip", made.parts({f"{folder}.txt": body, f"{STRANGE['a school']}.zip": inner})
    yield "xlsx", made.xlsx(text.replace("----", "\t"), title=f"{name} {STRANGE['a number plate']}")
    yield "docx", made.docx(text)
    described = (
        f"/Info << /Title <FEFF{ALL.encode('utf-16-be').hex()}> /Author"
        f" <FEFF{name.encode('utf-16-be').hex()}> >>"
    )
    yield "pdf", made.pdf(text).replace(b"/Root 1 0 R", f"/Root 1 0 R {described}".encode())
    message = EmailMessage()
    message["From"], message["To"] = f"{STRANGE['a nickname']}@mail.invalid", f"{VICTIM.email}"
    message["Subject"], message["X-Name"] = ALL, name
    message.set_content(text)
    message.add_attachment(
        body,
        maintype="application",
        subtype="octet-stream",
        filename=f"{name} {STRANGE['a number plate']}.txt",
    )
    yield "mail", message.as_bytes()


def _capture(**fields: object) -> Capture:
    defaults = {
        "id": new_id(),
        "site": "other",
        "url": f"https://t.example/{quote(ALL)}",
        "fetched_at": datetime.now(UTC),
    }
    return Capture.model_validate({"post_id": "0", **defaults, **fields})


def hand_in(context: Context) -> int:
    """Append the captures to the bus, and return how many of them must be matched.

    A sealed record that is no capture follows them, and becomes a dead letter.
    """
    sealer, signer = keys.load_sealer(context.keys), keys.load_signer(context.keys, COLLECTOR)
    bus = context.bus()
    publisher = bus.publisher(CAPTURES)
    sent_captures = list(captures())
    CaptureOutbox(publisher, sealer, signer).append(sent_captures)
    sealed = CaptureSealer(sealer, signer).seal(f"{ROW} {ALL}".encode())
    headers = {
        "site": "other",
        "id": new_id(),
        "schema": str(CAPTURE_SCHEMA),
        "key_id": sealer.key_id,
    }
    publisher.append([Outgoing(headers["id"], sealed, headers)])
    publisher.close()
    bus.close()
    return len(sent_captures)
