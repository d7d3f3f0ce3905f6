"""Of what a text came out of its kind is told, in a closed list: the name stays in match."""

import gzip
import io
import tarfile
import zipfile

import pytest

from harness.bench.recall import containers as made
from matcher.match.findings import find_all
from matcher.unpack import protocol
from matcher.unpack.parent import unpack
from matcher.unpack.protocol import Member
from tests.factories import capture
from tests.matcher.bank import matcher_of
from tests.matcher.conftest import BANK
from ullage.settings import Context

TEXT = f"{BANK[1]['name']}----{BANK[1]['phone']}\n"
BODY = TEXT.encode()


def tar_gz(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("诸葛文昭.txt")
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def zips(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


MADE = {
    "zip": made.zip_file(BODY),
    "gzip": gzip.compress(BODY),
    "tar": tar_gz(BODY),
    "xlsx": made.xlsx(TEXT),
    "docx": made.docx(TEXT),
    "pdf": made.pdf(TEXT),
    "mail": made.mail_body(TEXT),
    "": BODY,
}


@pytest.mark.parametrize("kind", MADE)
def test_match_reports_container_kind_but_no_name(bank: Context, kind: str) -> None:
    body = MADE[kind] if kind != "xlsx" else zips({"诸葛文昭.xlsx": MADE[kind]})
    sent = capture(body=body, media_type="text/plain")
    [finding] = find_all(matcher_of(bank), [sent], sent.fetched_at)
    assert {match.container for match in finding.matches} == {kind}
    assert all((match.member > 0) == bool(kind) for match in finding.matches)
    assert "诸葛" not in finding.encode().decode()


def test_member_after_an_inner_container_belongs_to_the_outer() -> None:
    inner = zips({"a.txt": b"inside"})
    with unpack(
        zips({"1.gz": gzip.compress(b"first"), "2.zip": inner, "3.txt": b"last"}), ""
    ) as unpacked:
        containers = {item.read(): item.container for item in unpacked if isinstance(item, Member)}
    assert {text: containers[text] for text in (b"first", b"inside", b"last")} == {
        b"first": "gzip",
        b"inside": "zip",
        b"last": "zip",
    }


def test_containers_and_media_types_fit_in_one_byte() -> None:
    assert len(protocol.containers()) * len(protocol.MEDIA) < 256
    assert {"gzip", "bzip2", "xz", "tar", "ole", "xlsx"} < set(protocol.containers())
