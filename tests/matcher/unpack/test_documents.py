"""Workbooks, documents, slides, PDF and mail give their words, and say what they hold besides."""

import base64
import zlib
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.unpack.readers.office import column, one_a_line, worksheet
from matcher.unpack.walk import number
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import out_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(99)


def test_workbook_becomes_lines_of_cells() -> None:
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row><row r="2"><c'
        ' r="A2" t="inlineStr"><is><r><t>张</t></r><r><t>某</t></r></is></c><c'
        ' r="B2"><v>1.5400000001E10</v></c><c r="E2"><f>A1+1</f><v>3.50</v></c></row><row r="3"><c'
        ' r="B3" t="str"><v>a@example.com\n</v></c><c r="C3" t="b"><v>1</v></c><c r="D3"'
        ' t="e"><v>#N/A</v></c></row>'
    )
    unpacked = out_of(
        builders.xlsx_of(
            {"客户": rows, "二": '<row><c t="s"><v>7</v></c><c/></row>'}, ("姓名", "手机&#10;号")
        ),
        "a.xlsx",
    )
    assert unpacked.texts == {
        "!/客户": "姓名\t手机 号\n张某\t15400000001\t\t\t3.50\n\ta@example.com \t1\t#N/A\n",
        "!/二": "\t\n",
    }
    assert unpacked.outcomes == []


def test_workbook_with_prefixes_and_without_sheet_directory_is_read() -> None:
    sheet = (
        b"<x:worksheet"
        b' xmlns:x="urn:x"><x:sheetData><x:row><x:c><x:v>15400000001</x:v></x:c>'
        b"</x:row></x:sheetData></x:worksheet>"
    )
    unpacked = out_of(
        builders.zip_of({"[Content_Types].xml": b"", "xl/worksheets/sheet9.xml": sheet})
    )
    assert unpacked.texts == {"!/sheet9": "15400000001\n"}


def test_other_parts_of_a_workbook_are_read() -> None:
    more = {
        "xl/media/image1.png": PNG,
        "xl/embeddings/x.zip": builders.zip_of({"d.csv": b"15400000002"}),
        "xl/comments1.xml": (
            b"<comments><comment><text><r><t>154</t></r><r><t>00000003</t></r></text>"
            b"</comment></comments>"
        ),
        "xl/pivotCache/pivotCacheRecords1.xml": b'<r><s v="15400000004"/><s v="15400000005"/></r>',
        "xl/styles.xml": b"<styleSheet/>",
        "xl/worksheets/_rels/sheet1.xml.rels": (
            b'<Relationships><Relationship Id="b" Target="x"/><Relationship Id="a"'
            b' Target="mailto:a@example.com" TargetMode="External"/></Relationships>'
        ),
    }
    unpacked = out_of(builders.xlsx_of({"S": ""}, more=more))
    assert unpacked.texts["!/xl/embeddings/x.zip!/d.csv"] == "15400000002"
    assert unpacked.texts["!/xl/comments1"].split() == ["15400000003"]
    assert (
        unpacked.texts["!/xl/pivotCache/pivotCacheRecords1.xml"]
        == more["xl/pivotCache/pivotCacheRecords1.xml"].decode()
    )
    assert unpacked.texts["!/xl/worksheets/_rels/sheet1.xml.rels"] == "mailto:a@example.com"
    assert not any("styles" in path for path in unpacked.members)
    assert unpacked.outcomes == [("!/xl/media/image1.png", "image")]


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("15400000001", "15400000001"), ("15400000001.0", "15400000001"),
        ("1.54E10", "15400000000"), ("-3.0", "-3"),
        ("0.1", "0.1"), ("4.40301189901011E+17", "4.40301189901011E+17"),
        ("440301189901011230.0", "4.40301189901011E+17"),
        ("6.200000000000005E15", "6200000000000005"), ("6.2E+15", "6.2E+15"),
        ("6200000000000000", "6200000000000000"), ("", ""),
    ],
)  # fmt: skip
def test_cell_numbers_are_read(stored: str, read: str) -> None:
    assert number(stored) == read


def test_column_letters_become_numbers() -> None:
    assert [column(letters) for letters in ("", "A", "Z", "AA", "XFD")] == [0, 1, 26, 27, 16384]


def test_cell_at_the_far_end_does_not_pad_its_line() -> None:
    unpacked = out_of(builders.xlsx_of({"S": '<row><c r="XFD1"><v>1</v></c></row>' * 3}))
    assert len(unpacked.texts["!/S"]) == 3 * 66


def test_document_becomes_paragraphs_and_rows() -> None:
    def p(*texts: str) -> str:
        return "<w:p>" + "".join(f"<w:r><w:t>{text}</w:t></w:r>" for text in texts) + "</w:p>"

    cells = "".join(f"<w:tc>{p(text)}</w:tc>" for text in ("张某", "15400000002"))
    body = p("154", "00000001") + (
        f"<w:tbl><w:tr>{cells}</w:tr></w:tbl><w:p><w:r><w:tab/><w:t>x</w:t><w:br/>"
        "</w:r><w:del><w:r>"
    )
    body += "<w:delText>15400000003</w:delText></w:r></w:del></w:p><w:pPr>15400000004</w:pPr>"
    more = {
        "word/header1.xml": f"<w:hdr {builders.WORD_NS}>{p('h')}</w:hdr>".encode(),
        "word/media/i.png": PNG,
    }
    unpacked = out_of(builders.docx_of(body, more), "a.docx")
    assert unpacked.texts == {
        "!/word/document": "15400000001\n张某 \t15400000002 \t\n\tx\n15400000003\n",
        "!/word/header1": "h\n",
    }
    assert unpacked.outcomes == [("!/word/media/i.png", "image")]


def test_slides_are_read() -> None:
    slide = (
        "<p:sld"
        f" {builders.DRAWING_NS}><a:p><a:r><a:t>154</a:t></a:r><a:r><a:t>00000001</a:t>"
        "</a:r></a:p></p:sld>".encode()
    )
    unpacked = out_of(
        builders.zip_of(
            {
                "[Content_Types].xml": b"",
                "ppt/presentation.xml": b"<p/>",
                "ppt/slides/slide1.xml": slide,
            }
        )
    )
    assert unpacked.texts == {"!/ppt/slides/slide1": "15400000001\n"}


def test_fallback_content_is_read_once() -> None:
    shape = "<w:r><w:t>15400000001</w:t></w:r>"
    unpacked = out_of(
        builders.docx_of(f"<w:p><w:Choice>{shape}</w:Choice><w:Fallback>{shape}</w:Fallback></w:p>")
    )
    assert unpacked.texts == {"!/word/document": "15400000001\n"}


def test_opendocument_files_are_read() -> None:
    cells = "".join(
        f"<t:table-cell><x:p>{text}</x:p></t:table-cell>"
        for text in ("张某", "154<x:span>00000001</x:span>")
    )
    content = (
        '<o:c xmlns:o="urn:o" xmlns:x="urn:x"'
        f' xmlns:t="urn:t"><t:table-row>{cells}</t:table-row><x:h>h<x:s/>i</x:h></o:c>'
    )
    files = {
        "mimetype": b"application/vnd.oasis",
        "content.xml": content.encode(),
        "styles.xml": b"<s/>",
        "Pictures/a.png": PNG,
    }
    unpacked = out_of(builders.zip_of(files), "a.ods")
    assert unpacked.texts["!/content"] == "张某 \t15400000001 \t\nh i\n"
    assert unpacked.outcomes == [("!/Pictures/a.png", "image")]


def test_entities_of_an_office_file_are_rejected() -> None:
    bomb = (
        b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><d>&b;</d>'
    )
    unpacked = out_of(builders.zip_of({"[Content_Types].xml": b"", "word/document.xml": bomb}))
    assert unpacked.outcomes == [("!/word/document", "damaged")]


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def test_encrypted_office_file_is_reported() -> None:
    unpacked = out_of(OLE + "EncryptedPackage".encode("utf-16-le") + bytes(600), "a.xlsx")
    assert (unpacked.members, unpacked.outcomes) == ({}, [("", "encrypted")])


XLS = zlib.decompress(base64.b64decode(
    "eNrtWE1IVFEU/u6dec6MzDhjaaCBDUJWky5CqBBsyiyhGLEMygxsRgcJY4yhTS7KslkGQat+NoYt2mht+q"
        "EWRZsWgZILIRDGolWroKiF+jrnvDf5k4IDZhjv"
    "e9xz7z33nHPP3HPufXfe2GhxdvBx+RQWYR9cmDV9KJjHU1R8uU4ING6a3MzVXiqmg3UFn5cCWWDgReCdh2"
        "PI8Z6CxiP3a6LARypncAHNvalkeA3RID7EFftQ"
    "r9yUexr3qBShTPzaILRT6EahIyL7Uuh+4dwQWk+yWXUao9HmyF47j0/pShkrIqrwVHQ+CGcXSvGW8/jKTW"
        "XJGjiQPhc/v84GKtx+DIFC2pRMJdPcD+IBCoE2"
    "Qk0sVtPYmEUJhXsI380w8C23r1+FHf7a8hWI/3Mh37MM30tBXMy/pd1AP8yzipM5Az8ibh7R6n77nkSGgl"
        "4np7hSfX3TqJUtzoWkx9sCJ6g6mqjrpire+qOV"
    "qs/JLdwLd4x1G0DclyjsLOSTX06K0IKTIiD7x0+0C0FpF8suCpGj0w+/vo8lWqIdwumXt4P1DtnKDsPEVd"
        "Yg5SIZcQnlkYho7BR6Taxulna50BJKcaqrWkrt"
    "xuEBkbkuo1U0T61gPLptXns7tTNfjj2ryHyK7qD2cNNUX8nwRHQQlfRO6yJ9fgZQrarVnduM59FcrezTZl"
        "Jo2R8nj1eHbN9N+0UZxAzvNUKxUKvHq6N+97S9"
    "VlbPRT2XbUstYUuJLV4dF62XElskPXZkxN9gcdie0X93ZrJg98HLmjVc5PeTN1psapljzqahvcJjj1jail"
        "27tvzRljW+B2iywYJ0ps5h9fIBy+bDHNZbPsia"
    "Yak1c+DAgQMHDhw4+PdQchO1bt98CzPsm5zH/q4zQ2XW+Uzy3+I4eum5SH8pDyFFdRqX8sqfTTBUzpZaoU"
        "7ueyHjJM2eRg8S4kdP3vlLN3E1//esWDG0elso"
    "3/ln8/HzL8//C12mCFE="
))  # fmt: skip
"""Made with xlwt: two sheets, text, numbers, truth and a date."""


def test_old_workbook_is_read() -> None:
    unpacked = out_of(XLS, "a.xls")
    assert unpacked.texts == {
        "!/客户": (
            "姓名\t手机\t卡号\t日期\n张某\t15400000001\t6200000000000005\t2024-01-02\n1\t1.5\ta b"
            " c\t\n"
        ),
        "!/空": "",
    }
    assert unpacked.outcomes == []


def test_damaged_old_workbook_is_reported() -> None:
    damaged = XLS[:2048] + bytes(2560) + XLS[4608:]
    assert out_of(damaged, "a.xls").outcomes == [("", "damaged")]


def test_strings_of_an_old_office_file_are_read() -> None:
    body = (
        OLE
        + "张某，１５４手机15400000001".encode("utf-16-le")
        + bytes(99)
        + "卡号6200000000000005".encode("gbk")
        + b"\0\1short\0"
    )
    unpacked = out_of(body, "a.doc")
    assert unpacked.texts == {"!/strings": "张某，１５４手机15400000001\n卡号6200000000000005\n"}
    assert unpacked.outcomes == [("", "unsupported")]


def test_pdf_text_is_read() -> None:
    unpacked = out_of(
        builders.pdf_of("phone 15400000001", "", "two", "", drawing=b"0 0 m 9 9 l S"), "a.pdf"
    )
    assert unpacked.texts == {"!/text": "phone 15400000001\ntwo\n"}
    assert unpacked.outcomes == [("!/page 2 and 1 more", "image")]


def test_chinese_pdf_without_embedded_font_is_read() -> None:
    assert out_of(builders.pdf_of("张某 15400000001", font="STSong-Light")).texts == {
        "!/text": "张某 15400000001\n"
    }


@pytest.mark.parametrize(
    ("size", "text", "told"),
    [
        (b"590 0 0 700", "Scanned with an app", [("!/page 1", "image")]),
        (b"590 0 0 700", "", [("!/page 1", "image")]),
        (b"90 0 0 70", "Scanned with an app", []),
        (b"590 0 0 700", "recognised words below a scan " * 20, []),
    ],
)
def test_page_covered_by_an_image_is_reported_as_image(size: bytes, text: str, told: list) -> None:
    drawn = b"q %b 0 50 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x7f EI Q" % size
    unpacked = out_of(builders.pdf_of(text, drawing=drawn))
    assert unpacked.outcomes == told
    assert [page_text.strip() for page_text in unpacked.texts.values()] == [text.strip()]


def test_page_of_image_strips_is_reported_as_image() -> None:
    drawn = b" ".join(
        b"q 590 0 0 100 0 %d cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x7f EI Q" % low
        for low in range(0, 700, 100)
    )
    assert out_of(builders.pdf_of("stamp", drawing=drawn)).outcomes == [("!/page 1", "image")]


@pytest.mark.parametrize("filters", [b"/FlateDecode", b"[/ASCII85Decode /FlateDecode]"])
@pytest.mark.parametrize("whole", [True, False])
def test_page_with_damaged_stream_is_reported(filters: bytes, *, whole: bool) -> None:
    """PDFium shows of it what it can, and says nothing."""
    drawn = zlib.compress(
        b"BT /F 12 Tf 50 700 Td (15400000001) Tj ET % " + bytes(range(33, 126)) * 9
    )
    if not whole:
        drawn = drawn[:20] + bytes(8) + drawn[28:]
    stream = base64.a85encode(drawn) + b"~>" if b"85" in filters else drawn
    body = builders.pdf_of("x")
    start = body.rfind(b"<< /Length", 0, body.find(b"BT /F"))
    end = body.find(b"endstream") + len(b"endstream")
    put = b"<< /Filter %b /Length %d >>\nstream\n%b\nendstream" % (filters, len(stream), stream)
    unpacked = out_of(body[:start] + put + body[end:])
    assert [reason for _, reason in unpacked.outcomes] == ([] if whole else ["damaged"])
    assert ("15400000001" in "".join(unpacked.texts.values())) is whole


def test_encrypted_pdf_is_reported() -> None:
    locked = (
        f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'11' * 32}> /U <{'22' * 32}> /P -4 >> /ID"
        " [<00><00>]"
    )
    assert out_of(builders.pdf_of("x", trailer=locked)).outcomes == [("", "encrypted")]


def mail(
    subject: str = "名单", text: str = "手机 15400000001", name: str = "a.csv"
) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "张某 <a@example.com>",
        "b@example.com",
        subject,
    )
    message["DKIM-Signature"] = "noise"
    message.set_content(text, charset="gb2312")
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    message.add_attachment(b"15400000002", "application", "octet-stream", filename=name)
    return message


def test_mail_is_read() -> None:
    unpacked = out_of(mail().as_bytes(), "a.eml")
    headers = unpacked.members.pop("!/headers").decode()
    assert "From: 张某 <a@example.com>\nTo: b@example.com\nSubject: 名单\n" in headers
    assert "noise" not in headers
    assert unpacked.members.pop("!/part1.txt").decode("gb2312").strip() == "手机 15400000001"
    assert unpacked.members.pop("!/part2.html").decode().strip() == "<p>手机 15400000001</p>"
    assert unpacked.members == {"!/": b"a.csv", "!/a.csv": b"15400000002"}


def test_mail_part_keeps_its_charset() -> None:
    from matcher.unpack.parent import unpack

    with unpack(mail().as_bytes(), "a.eml") as unpacked:
        kinds = {item.path: (item.media_type, item.charset) for item in unpacked}
    assert kinds["a.eml!/part1.txt"] == ("text/plain", "gb2312")
    assert kinds["a.eml!/part2.html"][0] == "text/html"


def test_attachment_names_are_listed() -> None:
    """As those in an archive are: pictures of papers are named after the people on them."""
    unpacked = out_of(mail(name="张某_15400000001.csv").as_bytes(), "a.eml")
    assert unpacked.members["!/"].decode() == "张某_15400000001.csv"


def test_uncached_formula_and_notes_are_read() -> None:
    sheet = (
        '<worksheet><sheetData><row r="1"><c r="A1"><f>"1540000"&amp;"0001"</f></c>'
        '<c r="B1"><f>1+1</f><v>2</v></c></row></sheetData>'
        "<dataValidations><dataValidation><formula1>15400000002</formula1>"
        "</dataValidation></dataValidations>"
        "<headerFooter><oddHeader>&amp;C15400000003</oddHeader></headerFooter></worksheet>"
    )
    read = b"".join(worksheet([sheet.encode()], [])).decode()
    assert read == '="1540000"&"0001"\t2\n15400000002\n&C15400000003\n'


def test_mail_inside_a_mail_is_read() -> None:
    outer = EmailMessage()
    outer["From"], outer["Subject"], outer["MIME-Version"] = "c@example.com", "Fwd", "1.0"
    outer.set_content("see below")
    outer.add_attachment(mail())
    unpacked = out_of(outer.as_bytes())
    assert "From: 张某" in unpacked.members["!/part2.eml!/headers"].decode()
    assert unpacked.members["!/part2.eml!/a.csv"] == b"15400000002"


def test_text_outside_of_all_mail_parts_is_read() -> None:
    text = (
        mail().as_string().replace("\n\n--", "\n\n15400000003 before\n--", 1)
        + "15400000004 after\n"
    )
    assert read_outside_lines(text) == ["15400000003 before", "15400000004 after"]


def read_outside_lines(text: str) -> list[str]:
    return [
        line for line in out_of(text.encode()).members["!/outside"].decode().splitlines() if line
    ]


def test_mailbox_is_read() -> None:
    letter = (
        b"From a@example.com Mon Jan  1 00:00:00 2024\n"
        + mail(text="15400000001").as_bytes()
        + b"\n"
    )
    unpacked = out_of(letter + letter.replace(b"15400000002", base64.b64encode(b"x")), "a.mbox")
    assert unpacked.members["!/1!/a.csv"] == b"15400000002"
    assert {path.split("!/")[1] for path in unpacked.members} == {"1", "2"}


def test_text_resembling_mail_is_text() -> None:
    for text in (
        "From: here\nTo: there\nSubject: x\n\nhello",
        "name: phone: 1",
        "From a friend\n",
        "Note: %PDF-1.4\n",
    ):
        assert out_of(text.encode()).texts == {"": text}


@pytest.mark.parametrize(
    ("xml", "lines"),
    [
        (
            "<r><c><n>A</n><p>1</p></c><c><n>B</n><p>2</p></c></r>",
            ["<r><c><n>A</n><p>1</p></c>", "<c><n>B</n><p>2</p></c></r>"],
        ),
        (
            "<r>\n <c>\n  <n>A</n>\n  <p>1</p>\n </c>\n <c/>\n</r>",
            ["<r><c><n>A</n><p>1</p></c>", "<c/></r>"],
        ),
        (
            '<r><c n="A" p="1"/><c n="B" p="2"/></r>',
            ['<r><c n="A" p="1"/>', '<c n="B" p="2"/></r>'],
        ),
        (
            '<r><c n="A" p="1"></c>\t<c n="B"></c></r>',
            ['<r><c n="A" p="1"></c>', '<c n="B"></c></r>'],
        ),
        (
            "<row><v>A</v><v>1</v></row><row><v>B</v></row>",
            ["<row><v>A</v><v>1</v></row>", "<row><v>B</v></row>"],
        ),
        ("<c><at><p>1</p></at><n>A</n></c>", ["<c><at><p>1</p></at><n>A</n></c>"]),
        ("<c><n>A</n></c> and <c><n>B</n></c>", ["<c><n>A</n></c> and <c><n>B</n></c>"]),
        ("<r><![CDATA[A,1]]>\n<![CDATA[B,2]]></r>", ["<r><![CDATA[A,1]]>", "<![CDATA[B,2]]></r>"]),
        ("1 < 2 <<< 3 > <", ["1 < 2 <<< 3 > <"]),
    ],
)
def test_repeated_xml_elements_become_one_line_each(xml: str, lines: list[str]) -> None:
    assert b"".join(one_a_line([xml.encode()])).decode().split("\n") == lines
    assert (
        b"".join(one_a_line(bytes((byte,)) for byte in xml.encode())).decode().split("\n") == lines
    )


@given(
    st.lists(
        st.sampled_from(
            ["<a>", "</a>", "<b x='1' y='2'/>", "<", ">", " ", "\n", "姓名", "<!--", "]]>"]
        ),
        max_size=40,
    )
)
def test_custom_xml_loses_no_word_at_any_chunk_boundary(parts: list[str]) -> None:
    whole = "".join(parts).encode()
    once = b"".join(one_a_line([whole]))
    assert once.split() == whole.split() or b"".join(once.split()) == b"".join(whole.split())
    wide = whole.decode().encode("utf-16")
    assert b"".join(one_a_line([wide[:9], wide[9:]])) == wide


def test_long_mail_header_loses_no_line() -> None:
    fields = "".join(f"X-{number}: {15400000000 + number}\n" for number in range(5000))
    unpacked = out_of(
        (
            f"From: a@example.com\nMIME-Version: 1.0\nMessage-ID: <a@example.com>\n{fields}\nhello"
        ).encode()
    )
    read = "".join(unpacked.texts.values())
    assert all(str(15400000000 + number) in read for number in range(5000))
