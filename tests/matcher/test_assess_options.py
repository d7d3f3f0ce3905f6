"""`ullage assess`: what was not read, the exit codes, one tenant alone, and the customers'
handles as CSV.
"""

import base64
import csv
import gzip
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matcher.bank import customer, enrol, phone
from tests.matcher.unpack import builders
from ullage.errors import Exit
from ullage.security.keys import make_tenant
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(400)]
NOISE = random.Random(14).randbytes
PICTURE = b"\x89PNG\r\n\x1a\n" + NOISE(6000)


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def bank(context: Context, enrol_once: Callable) -> Context:
    enrol_once(context.data, CUSTOMERS, "none")
    return context


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, body in members.items():
            packed.writestr(name, body)
    return path


def rows(count: int) -> str:
    lines = [
        f"{p['name']},{p['phone']},{p['resident_id']},{n}5000"
        for n, p in enumerate(CUSTOMERS[:count])
    ]
    return "\n".join(["姓名,手机号,身份证,借款金额", *lines])


PLUMBING = {
    "docProps/core.xml": (
        b"<p:coreProperties xmlns:p='urn:p'><p:revision>1</p:revision></p:coreProperties>"
    ),
    "docProps/app.xml": (
        b"<Properties><Application>Microsoft Office Word</Application></Properties>"
    ),
    "docMetadata/LabelInfo.xml": (
        b'<l:labelList xmlns:l="urn:l"><l:label id="{7F1B3F6E}" method="Standard"/></l:labelList>'
    ),
    "customXml/_rels/item1.xml.rels": (
        b'<Relationships><Relationship Id="rId1" Target="itemProps1.xml"/></Relationships>'
    ),
    "customXml/itemProps1.xml": (
        b'<?xml version="1.0"?><ds:datastoreItem xmlns:ds="urn:ds" ds:itemID="{7F1B3F6E-1C2D}"/>'
    ),
    "customXml/item1.xml": (
        b'<?xml version="1.0"?><b:Sources SelectedStyle="/APA.XSL" StyleName="APA" Version="6"'
        b' xmlns:b="http://schemas.openxmlformats.org/officeDocument/2006/bibliography"'
        b"></b:Sources>"
    ),
    "customXml/item2.xml": (
        b'<ct:contentTypeSchema ct:_=""'
        b' xmlns:ct="http://schemas.microsoft.com/office/2006/metadata/contentType"><xsd:element'
        b' name="Title" type="dms:Text" xmlns:xsd="urn:xsd"/></ct:contentTypeSchema>'
    ),
    "customXml/item3.xml": (
        b'<FormTemplates xmlns="http://schemas.microsoft.com/sharepoint/v3/contenttype/forms">'
        b"<Display>DocumentLibraryForm</Display></FormTemplates>"
    ),
    "customXml/item4.xml": (
        b'<p:properties p:version="1"'
        b' xmlns:p="http://schemas.microsoft.com/office/2006/metadata/properties">'
        b"<documentManagement/></p:properties>"
    ),
    "customXml/item5.xml": (
        b'<?xml version="1.0" encoding="UTF-8"?><rows xmlns="urn:loans"><row/></rows>'
    ),
}
"""What office programs put into a document in which nobody wrote anything."""
NOTHING_WRITTEN = {
    "mimetype": b"application/vnd.oasis.opendocument.text",
    "content.xml": (
        b"<o:document-content xmlns:o='urn:o'"
        b" xmlns:t='urn:t'><o:body><t:p/></o:body></o:document-content>"
    ),
    "styles.xml": b"<s/>",
    "meta.xml": (
        b"<o:document-meta"
        b" xmlns:o='urn:o'><o:generator>LibreOffice/7.4</o:generator></o:document-meta>"
    ),
    "settings.xml": b"<o:settings xmlns:o='urn:o'><o:item o:name='Zoom'>100</o:item></o:settings>",
    "manifest.rdf": (
        b'<rdf:RDF xmlns:rdf="urn:rdf"><rdf:Description rdf:about="styles.xml"/></rdf:RDF>'
    ),
    "META-INF/manifest.xml": (
        b"<m:manifest xmlns:m='urn:m'><m:file-entry m:full-path='content.xml'/></m:manifest>"
    ),
    "Thumbnails/thumbnail.png": PICTURE,
    "layout-cache": bytes((5, 0, 1, 0)) * 16,
    "Configurations2/accelerator/current.xml": b"",
}
SLIDE = b"<p:sld xmlns:p='urn:p' xmlns:a='urn:a'><a:p/></p:sld>"
SAYS_NOTHING = {
    "blank.docx": (builders.docx_of("<w:p/>"), "empty"),
    "blank-as-word-makes-it.docx": (builders.docx_of("<w:p/>", PLUMBING), "empty"),
    "blank.xlsx": (
        builders.xlsx_of({"Sheet1": ""}, more={"docProps/app.xml": PLUMBING["docProps/app.xml"]}),
        "empty",
    ),
    "blank.pptx": (
        builders.zip_of(
            {"[Content_Types].xml": b"<Types/>", "ppt/slides/slide1.xml": SLIDE, **PLUMBING}
        ),
        "empty",
    ),
    "blank.odt": (builders.zip_of(NOTHING_WRITTEN), "empty"),
    "scan.docx": (
        builders.docx_of("<w:p/>", {**PLUMBING, "word/media/image1.png": PICTURE}),
        "image",
    ),
    "blank.txt": (b" \r\n\t\n", "empty"),
    "marks.txt": (b"-----\n.....\n", "empty"),
    "mark.txt": (b"\xef\xbb\xbf", "empty"),
    "one-byte.bin": (b"\xff" * 5000, "empty"),
    "nothing.gz": (gzip.compress(b""), "empty"),
    "tags.html": (b"<html><head></head><body><p></p></body></html>", "empty"),
    "picture.html": (
        b"<html><img src='data:image/png;base64," + base64.b64encode(PICTURE) + b"'></html>",
        "image",
    ),
    "picture.svg": (
        b"<svg><image href='data:image/png;base64," + base64.b64encode(PICTURE) + b"'/></svg>",
        "image",
    ),
    "cipher.b64": (base64.encodebytes(b"Salted__" + NOISE(3000)), "unrecognised"),
    "cipher-one-line.b64": (base64.b64encode(NOISE(3000)), "unrecognised"),
    "cipher-url.b64": (base64.urlsafe_b64encode(NOISE(3000)), "unrecognised"),
    "cipher.hex": (NOISE(3000).hex().encode(), "unrecognised"),
    "cipher.pem": (
        b"-----BEGIN CMS-----\n" + base64.encodebytes(NOISE(3000)) + b"-----END CMS-----\n",
        "unrecognised",
    ),
    "short.bin": (NOISE(30), "unrecognised"),
}


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_file_with_nothing_readable_has_no_verdict(
    ullage, bank: Context, tmp_path: Path, name: str
) -> None:
    body, reason = SAYS_NOTHING[name]
    (tmp_path / name).write_bytes(body)
    result = ullage("assess", tmp_path / name, "--json")
    whole = json.loads(result.stdout)
    assert (result.exit_code, whole["verdict"], [part["reason"] for part in whole["not_read"]]) == (
        3,
        "no verdict",
        [reason],
    )
    shown = ullage("assess", tmp_path / name)
    assert shown.exit_code == Exit.NO_VERDICT
    assert "NO VERDICT" in shown.stdout
    assert "is in it" not in shown.stdout


def as_parts(row: dict[str, str]) -> dict[str, bytes]:
    """Return one customer the way custom XML may hold it."""
    name, number = row["name"], row["phone"]
    return {
        "elements": f"<r><c><n>{name}</n><p>{number}</p></c></r>".encode(),
        "attributes": f'<r><c n="{name}" p="{number}"/></r>'.encode(),
        "cdata": f"<r><![CDATA[{name},{number}]]></r>".encode(),
        "remark": f"<r><!-- {name} {number} --></r>".encode(),
        "utf-16": (
            f'<?xml version="1.0" encoding="UTF-16"?><r><n>{name}</n><p>{number}</p></r>'.encode(
                "utf-16"
            )
        ),
        "gb18030": (
            f'<?xml version="1.0" encoding="GB18030"?><r><n>{name}</n><p>{number}</p></r>'.encode(
                "gb18030"
            )
        ),
    }


@pytest.mark.parametrize("how", as_parts(customer(0)))
@pytest.mark.parametrize("number", [7, 9_000], ids=["a customer", "a stranger"])
def test_custom_xml_of_blank_document_is_read(
    ullage, bank: Context, tmp_path: Path, how: str, number: int
) -> None:
    row = {**customer(number % 400), "phone": phone(number)}
    path = tmp_path / "a.docx"
    path.write_bytes(
        builders.docx_of("<w:p/>", {**PLUMBING, "customXml/item6.xml": as_parts(row)[how]})
    )
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    is_customer = number == 7
    assert (verdict["verdict"], verdict["not_read"]) == ("exposed" if is_customer else "nobody", [])
    assert [tenant["customers"] for tenant in verdict["tenants"]] == [is_customer]


@pytest.mark.parametrize("between", ["", "\n    "], ids=["one line", "a line a value"])
@pytest.mark.parametrize("how", ["elements", "attributes"])
def test_custom_xml_records_are_rows(
    ullage, bank: Context, tmp_path: Path, how: str, between: str
) -> None:
    fields = {"姓名": "name", "phone": "phone", "证件号": "resident_id"}
    records = [{label: row[kind] for label, kind in fields.items()} for row in CUSTOMERS[:60]]
    written = {
        "elements": [
            f"<c>{between}{between.join(f'<{k}>{v}</{k}>' for k, v in record.items())}{between}</c>"
            for record in records
        ],
        "attributes": [
            "<c " + " ".join(f'{k}="{v}"' for k, v in record.items()) + "/>" for record in records
        ],
    }
    path = tmp_path / "a.docx"
    path.write_bytes(
        builders.docx_of(
            "<w:p/>", {"customXml/item1.xml": f"<r>{between.join(written[how])}</r>".encode()}
        )
    )
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    [tenant] = verdict["tenants"]
    assert (verdict["rows"], tenant["corroborated_rows"], tenant["origin"]["verdict"]) == (
        60,
        60,
        "ours",
    )


@pytest.mark.parametrize(
    "members", [{}, {"a.txt": b"", "b.txt": b""}, {"a.txt": b" \n"}], ids=["none", "empty", "blank"]
)
def test_empty_archive_has_no_verdict(
    ullage, bank: Context, tmp_path: Path, members: dict[str, bytes]
) -> None:
    result = ullage("assess", zip_of(tmp_path / "a.zip", members), "--json")
    assert (result.exit_code, json.loads(result.stdout)["verdict"]) == (
        Exit.NO_VERDICT,
        "no verdict",
    )


@pytest.mark.parametrize(
    "body",
    [
        "今日无事".encode(),
        # read: it is text
        base64.encodebytes(("\n".join(phone(n) for n in range(10**6, 10**6 + 200))).encode()),
        b"name,token\n"
        + b"\n".join(f"user{n},{base64.b64encode(NOISE(60)).decode()}".encode() for n in range(50)),
        b"<html><body>nobody</body></html>",
        b"a" * 9000 + b" b",
        b"-" * 5000 + b"\nnobody\n",
    ],
    ids=["words", "base64 of text", "tokens", "markup", "one letter", "a rule"],
)
def test_readable_file_without_customers_affects_nobody(
    ullage, bank: Context, tmp_path: Path, body: bytes
) -> None:
    (tmp_path / "a").write_bytes(body)
    result = ullage("assess", tmp_path / "a", "--json")
    assert (
        result.exit_code,
        json.loads(result.stdout)["verdict"],
        json.loads(result.stdout)["not_read"],
    ) == (0, "nobody", [])


def test_unreadable_block_makes_customer_count_a_lower_bound(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(rows(5).encode() + b"\n\n" + base64.encodebytes(NOISE(9000)))
    result = ullage("assess", path)
    assert result.exit_code == Exit.NO_VERDICT
    assert "at least 5 of 400 customers" in result.stdout
    assert "NO VERDICT" not in result.stdout


def test_no_verdict_advises_next_step_and_names_member_once(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = zip_of(tmp_path / "sent.zip", {"shots/1.png": PICTURE, "note.txt": "看图".encode()})
    shown = " ".join(ullage("assess", path).stdout.split())
    assert "sent.zip!/shots/1.png: image, not read" in shown
    assert str(tmp_path) not in shown
    assert "ask for the data as text, or look at the images yourself" in shown
    assert shown.index("NO VERDICT") < shown.index("tenant bank")


def test_tenant_without_watchlist_prevents_a_verdict(ullage, bank: Context, tmp_path: Path) -> None:
    make_tenant(bank.keys, "other")
    (tmp_path / "a.txt").write_text("nobody")
    result = ullage("assess", tmp_path / "a.txt")
    shown = " ".join(result.stdout.split())
    assert result.exit_code == Exit.NO_VERDICT
    assert "tenant other: not searched, because it has no valid customer list here" in shown
    assert "load a customer list for other" in shown
    verdict = json.loads(ullage("assess", tmp_path / "a.txt", "--json").stdout)
    assert (verdict["verdict"], verdict["not_looked_for"]) == ("no verdict", ["other"])
    assert ullage("assess", tmp_path / "a.txt", "--tenant", "bank").exit_code == Exit.DONE


def test_tenant_option_limits_verdict_to_that_tenant(ullage, bank: Context, tmp_path: Path) -> None:
    enrol(bank, "other", CUSTOMERS[:50], "none")
    path = tmp_path / "a.csv"
    path.write_text(rows(9), encoding="utf-8")
    assert [
        t["tenant"] for t in json.loads(ullage("assess", path, "--json").stdout)["tenants"]
    ] == ["bank", "other"]
    verdict = json.loads(ullage("assess", path, "--json", "--tenant", "other").stdout)
    assert [(t["tenant"], t["customers"]) for t in verdict["tenants"]] == [("other", 9)]
    make_tenant(bank.keys, "keyed")
    for name, message in (
        ("nobody", "use bank, keyed, other"),
        ("keyed", "no customer list of tenant keyed"),
    ):
        result = ullage("assess", path, "--tenant", name)
        assert message in str(result.exception)
        assert result.exception.exit_code == Exit.USAGE


def test_canary_tenant_is_left_out_of_verdicts(ullage, bank: Context, tmp_path: Path) -> None:
    enrol(bank, "ullage-canary", CUSTOMERS[:3], "none")
    (tmp_path / "a.csv").write_text(rows(3), encoding="utf-8")
    assert [
        t["tenant"]
        for t in json.loads(ullage("assess", tmp_path / "a.csv", "--json").stdout)["tenants"]
    ] == ["bank"]


SEVERITIES = ["noise", "notice", "low", "medium", "high", "statutory"]


@pytest.mark.parametrize("bar", SEVERITIES)
def test_fail_on_severity_sets_exit_code(ullage, bank: Context, tmp_path: Path, bar: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(60), encoding="utf-8")
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    is_as_severe = SEVERITIES.index(
        verdict["tenants"][0]["exposure"]["severity"]
    ) >= SEVERITIES.index(bar)
    assert ullage("assess", path, "--fail-on", bar).exit_code == (
        Exit.EXPOSED if is_as_severe else Exit.DONE
    )
    part = zip_of(tmp_path / "part.zip", {"a.csv": path.read_bytes(), "b.png": PICTURE})
    assert ullage("assess", part, "--fail-on", bar).exit_code == (
        Exit.EXPOSED if is_as_severe else Exit.NO_VERDICT
    )


def test_fail_on_takes_severity_and_fail_any_customer(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(1), encoding="utf-8")
    result = ullage("assess", path, "--fail-on", "grave")
    assert (result.exception.exit_code, "low, medium, high" in str(result.exception)) == (
        Exit.USAGE,
        True,
    )
    assert ullage("assess", path, "--fail").exit_code == Exit.EXPOSED
    path.write_text("nobody")
    assert ullage("assess", path, "--fail").exit_code == Exit.DONE


def test_customers_csv_contains_pseudonyms_and_no_values(
    ullage, bank: Context, tmp_path: Path
) -> None:
    enrol(bank, "other", CUSTOMERS[:2], "none")
    path, out = tmp_path / "a.csv", tmp_path / "out.csv"
    path.write_text(
        f"{rows(30)}\n\n{CUSTOMERS[40]['phone']}\n{CUSTOMERS[0]['phone']}\n", encoding="utf-8"
    )
    result = ullage("assess", path, "--customers", out)
    assert "33 customers written" in result.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    exported = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    by_tenant = {
        name: [row for row in exported if row["tenant"] == name] for name in ("bank", "other")
    }
    assert (len(by_tenant["bank"]), len(by_tenant["other"])) == (31, 2)
    assert len({row["handle"] for row in exported}) == 33
    assert {row["kinds"] for row in by_tenant["other"]} == {"phone resident_id"}
    assert sorted(row["verified"] for row in by_tenant["bank"]) == ["no"] + ["yes"] * 30
    assert max(int(row["rows"]) for row in by_tenant["bank"]) == 2
    assert {"ID LOAN NAME PHONE"} <= {row["fields"] for row in exported}
    text = out.read_text(encoding="utf-8") + result.output
    assert not [
        p
        for p in CUSTOMERS
        for kind in ("name", "phone", "resident_id", "customer_ref")
        if p[kind] in text
    ]


def test_resolve_reads_customers_csv(ullage, context: Context, tmp_path: Path) -> None:
    source, path, out = tmp_path / "customers.csv", tmp_path / "a.csv", tmp_path / "out.csv"
    columns = ("customer_ref", "name", "phone", "resident_id")
    source.write_text(
        "\n".join(map(",".join, (columns, *([p[c] for c in columns] for p in CUSTOMERS)))),
        encoding="utf-8",
    )
    assert ullage("watchlist", "load", source, "--tenant", "bank").exit_code == 0
    path.write_text(rows(7), encoding="utf-8")
    assert ullage("assess", path, "--customers", out).exit_code == 0
    result = ullage("subjects", "resolve", out, "--case", "C1", "--reason", "call them")
    assert result.exit_code == 0
    assert sorted(row["customer_ref"] for row in csv.DictReader(result.stdout.splitlines())) == [
        f"C{n:06d}" for n in range(7)
    ]


def test_unwritable_customers_path_fails_before_reading(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(1), encoding="utf-8")
    for out, message in (
        ("-", "must be a file"),
        (tmp_path, "is a folder"),
        (path, "the assessed file"),
    ):
        result = ullage("assess", path, "--customers", out)
        assert (message in str(result.exception), result.exception.exit_code, result.stdout) == (
            True,
            Exit.USAGE,
            "",
        )
    result = ullage("assess", path, "--customers", tmp_path / "none" / "out.csv")
    assert "is not a folder: create it, or name another file" in str(result.exception)
    assert path.read_text(encoding="utf-8") == rows(1)


def test_staff_login_counts_as_exposure_without_customers(
    ullage, bank: Context, tmp_path: Path
) -> None:
    settings = bank.data / "ullage.toml"
    settings.write_text(
        settings.read_text()
        + '[tenants.bank]\ndomains = ["bank.example"]\nstaff = ["oa.bank.example"]\n'
    )
    path = tmp_path / "passwords.txt"
    path.write_text("URL: https://oa.bank.example/login\nUsername: zhangwei\nPassword: Hr@2026!\n")
    result = ullage("assess", path, "--fail")
    assert result.exit_code == Exit.EXPOSED
    assert "1 staff login at our own sites" in result.stdout
    assert "none of 400 customers" in result.stdout
    assert "()" not in result.stdout
    assert json.loads(ullage("assess", path, "--json").stdout)["verdict"] == "exposed"
