"""An encrypted archive is read if what stands beside it states its password."""

from __future__ import annotations

import json
import logging
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from matcher.unpack.parent import unpack
from matcher.unpack.passwords import MOST, find_passwords, list_passwords
from matcher.unpack.protocol import UnreadPart
from tests.matcher.bank import customer
from tests.matcher.conftest import SharedServer
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK, out_of

ROW = "李某,15400000001\n"
METHODS = ("traditional", "aes128", "aes256")


def lock(password: str, method: str = "aes256", files: dict[str, bytes] | None = None) -> bytes:
    """Return an encrypted zip."""
    return builders.libarchive_of(
        files or {"客户.csv": ROW.encode()},
        "zip",
        options=f"zip:encryption={method}",
        password=password,
    )


def unpack_with(body: bytes, *notes: str, name: str = "a") -> tuple[list[str], list[str]]:
    """Return the texts in an archive with `notes` beside it, and the reasons of the rest."""
    texts, reasons = list[str](), list[str]()
    with (
        SharedServer() as server,
        unpack(body, name, QUICK, server=server, notes=lambda: notes) as unpacked,
    ):
        for item in unpacked:
            if isinstance(item, UnreadPart):
                reasons.append(item.reason)
            elif not item.path.endswith("!/"):
                texts.append(item.read().decode())
    return texts, reasons


@pytest.mark.parametrize("method", METHODS)
def test_password_of_a_note_opens_a_zip(method: str) -> None:
    assert unpack_with(lock("abc#2026", method), "解压密码：abc#2026 不要外传") == ([ROW], [])
    assert unpack_with(lock("abc#2026", method), "解压密码：abc") == ([], ["encrypted"])
    assert unpack_with(lock("abc#2026", method)) == ([], ["encrypted"])


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("密码: abc", "abc"),
        ("解压密码abc", "abc"),
        ("解压密码abc请勿外传", "abc"),
        ("pass: abc", "abc"),
        ("Password is infected.", "infected"),
        ("пароль от архива: qwerty12", "qwerty12"),
        ("Mật khẩu giải nén: vay2026", "vay2026"),
        ("La contraseña es Clientes#24\nUn saludo", "Clientes#24"),
        ("附件為加密檔，解壓縮密碼為「abc#2026」，謝謝。", "abc#2026"),
        ("<p>Passwort:&nbsp;<b>x</b></p><p>Passwort: <b>geheim!</b></p>", "geheim!"),
        ("data_pass_1234.zip", "1234"),
        ("客户资料(密码888).zip", "888"),
        ("Backup-1120", "Backup-1120"),
    ],
)
def test_stated_password_is_found(text: str, password: str) -> None:
    assert password in list(find_passwords(text))


@pytest.mark.parametrize("text", ["the bypass works", "md5 of the archive: d41d8cd98f" + "0" * 80])
def test_other_words_state_no_password(text: str) -> None:
    assert [password for password in find_passwords(text) if password != text] == []


def test_list_of_logins_states_no_password() -> None:
    logins = "".join(f"user{n}@example.com password: pw{n} and more of it\n" for n in range(9))
    assert list(find_passwords(logins)) == []


def test_few_passwords_are_tried() -> None:
    texts = [f"pass: p{number}" for number in range(99)]
    assert len(list_passwords(texts, ["a.zip"])) == MOST


def test_note_behind_a_nested_archive_opens_it() -> None:
    outer = builders.zip_of({"a/data.zip": lock("infected"), "b/readme.txt": b"Pass: infected\n"})
    unpacked = out_of(outer)
    assert unpacked.texts["!/a/data.zip!/客户.csv"] == ROW
    assert unpacked.outcomes == []


def test_mail_states_the_password_of_its_attachment() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@mail.invalid", "b@mail.invalid", "data"
    message.set_content("压缩包密码 tg@heishu")
    message.add_attachment(
        lock("tg@heishu"), maintype="application", subtype="zip", filename="data.zip"
    )
    assert out_of(message.as_bytes(), "a.eml").texts["!/data.zip!/客户.csv"] == ROW


def test_name_of_the_archive_may_be_its_password() -> None:
    assert unpack_with(lock("sample"), name="sample.zip") == ([ROW], [])


def test_members_in_clear_are_read_before_the_password_is_known() -> None:
    inner = lock("x1", files={"a.csv": ROW.encode()})
    unpacked = out_of(builders.zip_of({"in.zip": inner, "note.txt": b"no words"}))
    assert unpacked.texts == {"!/note.txt": "no words"}
    assert unpacked.outcomes == [("!/in.zip!/a.csv", "encrypted")]


def test_scan_reads_notes_beside_the_archive_and_prints_no_password(
    data: Path, enrol_once: Any, ullage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    enrol_once(data, [customer(1, phone="15400000001")])
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "list.zip").write_bytes(lock("s3cr#t-7"))
    (folder / "说明.txt").write_text("解压密码：s3cr#t-7\n")
    with caplog.at_level(logging.DEBUG):
        result = ullage("scan", folder)
    [row] = map(json.loads, result.stdout.splitlines())
    assert row["kind"] == "phone"
    written = (
        result.output
        + caplog.text
        + "".join(path.read_bytes().decode("latin-1") for path in data.rglob("*") if path.is_file())
    )
    assert "s3cr#t-7" not in written
