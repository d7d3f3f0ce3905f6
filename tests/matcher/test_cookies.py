"""Cookies of a tenant's own sites: counted in every layout, with how long they last, and never
kept.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from matcher.columns.batch import Batch
from matcher.records.cookies import SESSION, Cookie, parse_expiry
from matcher.records.logins import LoginFinder
from matcher.text import fold
from tests.matcher.bank import customer
from tests.matcher.unpack.builders import zip_of

FINDER = LoginFinder({"bank.example": "bank"}, {"bank": ("sso.vendor.example",)})
IN_2033 = 2_000_000_000


def cookies(text: str) -> list[Cookie]:
    return FINDER.cookies.find(FINDER.sites.hosts(Batch.join([fold(text).utf8])))


PEOPLE = [customer(7 * n * n % 9001) for n in range(300)]
"""Customers whose numbers run in no steps."""


def line(domain: str, name: str, value: str, expires: object = IN_2033, before: str = "") -> str:
    return f"{before}{domain}\tTRUE\t/\tTRUE\t{expires}\t{name}\t{value}\n"


def extension(domain: str, name: str, value: str, expires: object = IN_2033) -> dict[str, object]:
    cookie = {
        "domain": domain,
        "hostOnly": False,
        "httpOnly": True,
        "name": name,
        "path": "/",
        "value": value,
    }
    return {**cookie, "expirationDate": expires} if expires else {**cookie, "session": True}


TWO = [("JSESSIONID", "a1b2"), ("remember-me", "c3d4")]
FORMS = {
    "Netscape": (
        "# Netscape HTTP Cookie File\n" + "".join(line(".bank.example", *two) for two in TWO)
    ),
    "Netscape without a header": "".join(line("www.bank.example", *two) for two in TWO),
    "HttpOnly": "".join(line(".bank.example", *two, before="#HttpOnly_") for two in TWO),
    "HttpOnly of a host": "".join(line("m.bank.example", *two, before="#HttpOnly_") for two in TWO),
    "Netscape with spaces": "".join(
        line(".bank.example", *two).replace("\t", "    ") for two in TWO
    ),
    "an extension's array": json.dumps([extension(".bank.example", *two) for two in TWO]),
    "an extension's pretty array": json.dumps(
        [extension(".bank.example", *two) for two in TWO], indent=4
    ),
    "DevTools": json.dumps(
        {
            "cookies": [
                {"name": n, "value": v, "domain": "bank.example", "expires": 2e9} for n, v in TWO
            ]
        }
    ),
    "header": (
        "GET /account HTTP/1.1\nHost: www.bank.example\nCookie: JSESSIONID=a1b2;"
        " remember-me=c3d4\n\n"
    ),
    "header before the host": (
        "GET / HTTP/1.1\nCookie: JSESSIONID=a1b2; remember-me=c3d4\nHost: bank.example\n\n"
    ),
    "curl": (
        "curl 'https://www.bank.example/account' -H 'Cookie: JSESSIONID=a1b2; remember-me=c3d4'\n"
    ),
    "answers": "".join(
        f"Set-Cookie: {n}={v}; Domain=.bank.example; Path=/; Max-Age=600; HttpOnly\n"
        for n, v in TWO
    ),
}

JAR, URL = "JSESSIONID=a1b2; remember-me=c3d4", "https://www.bank.example/account"
LISTED = [
    {"name": name, "value": value, "path": "/", "expires": "2033-05-18T03:33:20.000Z"}
    for name, value in TWO
]
HEADERS = [{"name": "Accept", "value": "*/*"}, {"name": "Cookie", "value": JAR}]


def har(**request: object) -> dict[str, object]:
    return {"log": {"entries": [{"request": {"method": "GET", "url": URL, **request}}]}}


FORMS |= {
    "curl with the address last": f"curl -H 'Cookie: {JAR}' {URL}\n",
    "curl --cookie": f"curl --cookie '{JAR}' {URL}\n",
    "curl -b": f"curl -b '{JAR}' {URL}\n",
    "copied as cURL": (
        f"curl '{URL}' \\\n  -H 'accept: */*' \\\n  -b '{JAR}' \\\n  -H 'referer: {URL}' \\\n "
        " --compressed\n"
    ),
    "copied as cURL, with a header": (
        f"curl '{URL}' \\\n  -H 'accept: */*' \\\n  -H 'cookie: {JAR}' \\\n  --compressed\n"
    ),
    "copied as cURL for Windows": (
        f'curl ^"{URL}^" ^\n  -H ^"accept: */*^" ^\n  -b ^"{JAR}^" ^\n  --compressed\n'
    ),
    "copied as fetch": (
        f'fetch("{URL}", {{\n  "headers": {{\n    "accept": "*/*",\n    "cookie": "{JAR}"\n '
        " }\n});\n"
    ),
    "copied as PowerShell": "".join(
        f'$session.Cookies.Add((New-Object System.Net.Cookie("{n}", "{v}", "/",'
        ' "www.bank.example")))\n'
        for n, v in TWO
    ),
    "headers of HAR": json.dumps(har(headers=HEADERS)),
    "HAR": json.dumps(har(headers=HEADERS, cookies=LISTED)),
    "cookies of HAR": json.dumps(har(cookies=LISTED)),
    "pretty HAR": json.dumps(har(headers=HEADERS, cookies=LISTED), indent=2),
    "an object of address and header": json.dumps({"url": URL, "cookies": JAR}),
    "an object of header and address": json.dumps({"cookies": JAR, "url": URL}),
    "an object of address and cookies": json.dumps({"url": URL, "cookies": dict(TWO)}),
    "an object of host and header": json.dumps([{"host": "www.bank.example", "cookie": JAR}]),
    "EditThisCookie": json.dumps(
        [
            {**extension(".bank.example", *two), "sameSite": "unspecified", "storeId": "0", "id": n}
            for n, two in enumerate(TWO)
        ],
        indent=4,
    ),
    "in a text within an object": json.dumps(
        {"bot": "a1", "cookies": json.dumps([extension(".bank.example", *t) for t in TWO])}
    ),
    "in an object within others": json.dumps(
        {"bots": [{"profile": {"cookies": [extension(".bank.example", *t) for t in TWO]}}]}
    ),
    "lower-case answers": "".join(
        f"set-cookie: {n}={v}; path=/; domain=bank.example; secure\n" for n, v in TWO
    ),
    "answers of a host": (
        "GET / HTTP/1.1\nHost: bank.example\n\nHTTP/1.1 200 OK\n"
        + "".join(f"Set-Cookie: {n}={v}; Path=/; HttpOnly\n" for n, v in TWO)
    ),
    "HTTP/2": f":authority: www.bank.example\n:method: GET\ncookie: {JAR}\n",
    "HttpOnly with spaces": "".join(
        f"#HttpOnly_.bank.example TRUE / TRUE 2000000000 {n} {v}\n" for n, v in TWO
    ),
    "Netscape with commas": "".join(line(".bank.example", *two).replace("\t", ",") for two in TWO),
    "LWP": "".join(
        f'Set-Cookie3: {n}={v}; path="/"; domain=".bank.example"; version=0\n' for n, v in TWO
    ),
}
TABLES = {
    "of an export": ("domain,name,value,path,expires\n", ".bank.example,{0},{1},/,2000000000\n"),
    "of Chrome": (
        "creation_utc,host_key,name,value,encrypted_value,path,expires_utc\n",
        '13300000000000000,".bank.example",{0},{1},,/,13644473600000000\n',
    ),
}


@pytest.mark.parametrize("form", TABLES)
def test_cookies_in_tables_are_counted_by_header(form: str) -> None:
    head, row = TABLES[form]
    text = head + "".join(row.format(*two) for two in TWO)
    assert [cookie.expires for cookie in cookies(text)] == [IN_2033] * 2
    assert not cookies(text.replace("bank.example", "shop.other.example"))


@pytest.mark.parametrize(
    "text",
    [
        f"Cookie: {JAR}\n",
        f"Set-Cookie: {TWO[0][0]}=a1b2; Path=/\nSet-Cookie: {TWO[1][0]}=c3d4; Path=/\n",
        json.dumps(
            [{k: v for k, v in extension("", *two).items() if k != "domain"} for two in TWO],
            indent=2,
        ),
    ],
)
def test_cookies_without_a_site_leave_no_verdict(judge: Callable, text: str) -> None:
    verdict = judge(text)
    assert (verdict["verdict"], verdict["cookies"]) == ("no verdict", 0)
    assert "2 cookies of an unnamed site" in " ".join(verdict["shown"].replace("│", " ").split())


def test_base64_cookie_file_is_read(judge: Callable) -> None:
    text = "# Netscape HTTP Cookie File\n" + "".join(
        line(".bank.example", f"sid{n}", f"secret-value{n}") for n in range(9)
    )
    assert judge(base64.b64encode(text.encode()).decode())["cookies"] == 9


@pytest.mark.parametrize("form", FORMS)
def test_cookies_of_own_sites_are_counted_in_each_layout(form: str) -> None:
    counted = cookies(f"first line\n\n{FORMS[form]}")
    assert len({cookie.key for cookie in counted}) == 2
    assert all(cookie.opens for cookie in counted)


@pytest.mark.parametrize("form", FORMS)
def test_cookies_of_other_sites_are_ignored(form: str) -> None:
    assert not cookies(FORMS[form].replace("bank.example", "shop.other.example"))
    assert not cookies(FORMS[form].replace("bank.example", "bank.example.other.example"))


@pytest.mark.parametrize(
    "text",
    [
        line(".other.example", "next", "https://bank.example/"),
        json.dumps([extension(".other.example", "next", "https://bank.example/")]),
        "GET / HTTP/1.1\nHost: other.example\nReferer: https://bank.example/\n\nno cookies\n",
        json.dumps({"url": "https://other.example/", "cookies": "SID=1"})
        + "\n"
        + json.dumps({"url": "https://bank.example/"}),
        json.dumps(
            [
                {"url": "https://bank.example/"},
                {"url": "https://other.example/", "cookies": {"SID": "1"}},
            ]
        ),
        json.dumps(
            {"url": "https://bank.example/", "headers": [{"name": "Accept", "value": "cookie=1"}]}
        ),
        (
            "GET / HTTP/1.1\nHost: other.example\nCookie: SID=1\n\nGET / HTTP/1.1\nHost:"
            " bank.example\n\n"
        ),
        "curl 'https://other.example/' -b 'SID=1'\ncurl 'https://bank.example/'\n",
        "curl 'https://bank.example/'\ncurl 'https://other.example/' -b 'SID=1'\n",
        "our cookies policy is at https://bank.example/cookies TRUE",
        "bank.example TRUE",
    ],
)
def test_mention_of_our_site_is_not_a_cookie(text: str) -> None:
    assert not cookies(text)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2000000000", IN_2033),
        ("2000000000.25", IN_2033),
        ("2000000000000", IN_2033),
        ("2000000000000000", IN_2033),
        ("13644473600000000", IN_2033),
        ("136444736000000000", IN_2033),
        ("Wed, 18 May 2033 03:33:20 GMT", IN_2033),
        ("Wed, 18-May-2033 03:33:20 GMT", IN_2033),
        ("Tue, 17 May 2033 20:33:20 -0700", IN_2033),
        ("Tue, 17-May-2033 20:33:20 -0700", IN_2033),
        ("2033-05-18T03:33:20.000Z", IN_2033),
        ("0", SESSION),
        ("-1", SESSION),
        ("Session", SESSION),
        ("99999999999999999999", 253370764800),
        ("9999-12-31T23:59:59-23:59", 253370764800),
        ("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", SESSION),
        ("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", SESSION),
        ("Mon, 1 Jan 2020 00:00:00 +99999999999999999", SESSION),
        ("inf", SESSION),
        ("1e400", SESSION),
        ("", SESSION),
    ],
)
def test_expiry_is_read_in_every_time_format(written: str, expected: int) -> None:
    assert parse_expiry(written.encode()) == expected


def test_staff_cookies_are_flagged_and_analytics_cookies_open_nothing() -> None:
    text = (
        line("vpn.bank.example", "SVPNCOOKIE", "x1")
        + line("sso.vendor.example", "sid", "x2")
        + line(".bank.example", "_ga", "x3")
    )
    assert [(cookie.is_staff, cookie.opens) for cookie in cookies(text)] == [
        (True, True),
        (True, True),
        (False, False),
    ]


def test_cookies_of_previous_request_are_not_counted_again() -> None:
    requests = "".join(
        f"Host: {host}\nCookie: {name}=1\n"
        for host, name in (("bank.example", "SID"), ("m.bank.example", "JSESSIONID"))
    )
    assert len(cookies(requests)) == 2


def test_cookie_names_and_values_are_not_kept() -> None:
    counted = cookies(line(".bank.example", "li.na@mail.example", "secret-value"))
    assert "li.na" not in repr(counted)
    assert "secret-value" not in repr(counted)


@pytest.fixture
def judge(
    data: Path, ullage: Callable, enrol_once: Callable, tmp_path: Path
) -> Callable[[str], dict]:
    """Return a function that assesses a file for a bank of three hundred customers."""
    enrol_once(data, PEOPLE)
    (data / "ullage.toml").write_text('[tenants.bank]\ndomains = ["bank.example"]\n')

    def assess_file(text: str | bytes) -> dict:
        path = tmp_path / ("logs.zip" if isinstance(text, bytes) else "cookies.txt")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        output = ullage("assess", path, "--json").stdout
        assert "secret-value" not in output
        shown = ullage("assess", path).stdout
        assert "secret-value" not in shown
        answer = json.loads(output)
        return {"verdict": answer["verdict"], "shown": shown, **answer["tenants"][0]}

    return assess_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line("vpn.bank.example", "sid", "secret-value"), ("high", 5)),
        (line("www.bank.example", "sid", "secret-value"), ("medium", 6)),
        (line("www.bank.example", "sid", "secret-value", 0), ("medium", 6)),
        (
            "".join(line("www.bank.example", "sid", f"secret-value{n}") for n in range(50)),
            ("high", 6),
        ),
        (line("www.bank.example", "sid", "secret-value", 1_600_000_000), ("low", 14)),
        (line("www.bank.example", "_ga", "secret-value"), ("low", 14)),
    ],
)
def test_unexpired_cookies_are_rated(judge: Callable, text: str, expected: tuple[str, int]) -> None:
    verdict = judge(text)
    assert (verdict["exposure"]["severity"], verdict["exposure"]["row"]) == expected
    assert (verdict["verdict"], verdict["origin"]["verdict"]) == ("exposed", "devices")


def test_verdict_reports_cookies_and_their_expiry(judge: Callable) -> None:
    verdict = judge(
        line(".bank.example", "sid", "secret-value")
        + line("oa.bank.example", "t", "secret-value", 0)
    )
    counts = [
        verdict[name]
        for name in ("cookies", "staff_cookies", "live_cookies", "session_cookies", "cookies_until")
    ]
    assert counts == [2, 1, 2, 1, "2033-05-18"]
    assert (
        "2 of the tenant's own sites: 1 of staff hosts, 2 not expired, the last until 2033-05-18"
        in " ".join(verdict["shown"].replace("│", " ").split())
    )


PERSON = [("first", "name"), ("tel", "phone"), ("mail", "email"), ("id", "resident_id")]
SYSTEMS = {
    "UserInformation.txt": (
        "Build ID: a1\nIP: 192.0.2.1\nHWID: A1B2\nMachineName: PC\nLog date: 3/4/2026 2:05:09 PM\n"
    ),
    "System.txt": (
        "- LID: a1\n- HWID: A1\n- Computer: PC\n- User: li\n- IP Address: 192.0.2.1\n- Local Date:"
        " 04.03.2026\n"
    ),
    "information.txt": (
        "Version: 1\nDate: 04/03/2026 14:05:09\nMachineID: a1\nGUID: {a1}\nWork Dir: C:\\\nComputer"
        " Name: PC\n"
    ),
    "pc_info.json": '{\n"Hwid": "a1",\n"PcName": "PC",\n"OS": "Windows"\n}\n',
}
AUTOFILLS = {
    "form and value": ("Chrome/Default/Autofills.txt", "FORM: {0}\nVALUE: {1}\n"),
    "name and value": ("Autofills.txt", "Name: {0}\nValue: {1}\n" + "=" * 50 + "\n"),
    "field and value": ("Autofills/Google_[Chrome]_Default.txt", "Field: {0} | Value: {1}\n"),
    "columns": ("autofill/Chrome_Default.txt", "{0}\t{1}\n"),
}


@pytest.mark.parametrize(("system", "form"), [*zip(SYSTEMS, AUTOFILLS, strict=True)])
def test_autofill_forms_of_customers_point_to_devices(
    judge: Callable, system: str, form: str
) -> None:
    name, field = AUTOFILLS[form]
    members = {}
    for n in range(25):
        person = PEOPLE[n]
        members[f"CN_192.0.2.{n}/{name}"] = "".join(
            field.format(label, person[kind]) for label, kind in PERSON
        ).encode()
        members[f"CN_192.0.2.{n}/{system}"] = SYSTEMS[system].encode()
    verdict = judge(zip_of(members))
    assert (verdict["customers"], verdict["origin"]["verdict"]) == (25, "devices")
    assert "PIPL 57" not in verdict["next_step"]


def test_list_beside_a_stealer_log_does_not_point_to_devices(judge: Callable) -> None:
    rows = "".join("{name},{phone},{resident_id}\n".format(**person) for person in PEOPLE[:200])
    members = {
        "CN_1/System.txt": SYSTEMS["System.txt"].encode(),
        "CN_1/FileGrabber/customers.csv": rows.encode(),
    }
    assert judge(zip_of(members))["origin"]["verdict"] == "ours"
