"""Logs of forty families of stealers: logins at own sites are counted, and whoever matches is from
a device, not from us.

Every layout is built from published descriptions; people, hosts and passwords are made up.
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.matcher.bank import customer
from tests.matcher.unpack.builders import zip_of

PEOPLE = [customer(7 * n * n % 9001) for n in range(300)]
"""Customers whose numbers run in no steps."""
DEVICES = 12
FIELDS = (("name", "name"), ("tel", "phone"), ("email", "email"), ("idcard", "resident_id"))

LOGINS = {
    "redline": (
        "URL: {0}\nUsername: {1}\nPassword: {2}\nApplication:"
        " Google_[Chrome]_Default\n===============\n"
    ),
    "lumma": "SOFT: Chrome (131.0.1)\nURL: {0}\nUSER: {1}\nPASS: {2}\n",
    "stealc": "browser: Chrome\nprofile: Default\nurl: {0}\nlogin: {1}\npassword: {2}\n\n",
    "vidar": "Soft: Google Chrome [Default]\nHost: {0}\nLogin: {1}\nPassword: {2}\n\n",
    "raccoon": "URL: {0}\nUSER: {1}\nPASS: {2}\n\n",
    "atomic": "URL: {0}\nLOGIN: {1}\nPASSWORD: {2}\n\n",
    "hostname": '["Chrome" = "Default"]\nHostname: {0}\nUser login: {1}\nUser password: {2}\n\n',
    "spaced": "URL      : {0}\nUsername : {1}\nPassword : {2}\n\n",
    "dcrat": "Storage: Chrome\nURL: {0}\nLogin: {1}\nPassword: {2}\n--------------------\n",
    "leet": "UR1: {0}\nU53RN4M3: {1}\nP455W0RD: {2}\n\n",
    "logger": "url: {0}\nlogin: {1}\npassword: {2}\napplication: Chrome\n\n",
}
AUTOFILLS = {
    "field": "Field: {0} | Value: {1}\n",
    "form": "FORM: {0}\nVALUE: {1}\n",
    "columns": "{0}\t{1}\n",
    "spaces": "{0} {1}\n",
    "name": "Name: {0}\nValue: {1}\n" + "=" * 50 + "\n",
    "blocks": "Name: {0}\nValue: {1}\n\n",
}
BANNER = "*" * 40 + "\n*   made up banner   *\n" + "*" * 40 + "\n\n"


class Family(NamedTuple):
    """A layout: the file of the system and what is in it, paths and forms of passwords and of
    autofill, a path of cookies.
    """

    system: str
    says: str
    passwords: str
    form: str
    autofill: str = "Autofills/Google_[Chrome]_Default.txt"
    field: str = "columns"
    cookies: str = "Cookies.txt"


P, C = "Passwords.txt", "Cookies.txt"
REDLINE = (
    "Build ID: a1\nIP: 192.0.2.1\nFileLocation: C:\\a.exe\nUserName: li\nMachineName: PC\nCountry:"
    " CN\nZip Code: 0\nHWID: A1\nCurrent Language: Chinese\nScreenSize: {{Width=1920,"
    " Height=1080}}\nTimeZone: (UTC+08:00)\nLog date: 3/4/2026 2:05:09 PM\n"
)
VIDAR = (
    "Version: 1\n\nDate: 04/03/2026 14:05:09\nMachineID: a1\nGUID: {a1}\nHWID: a1-b2\n\nPath:"
    " C:\\a.exe\nWork Dir: In memory\n\n"
)
VIDAR_MORE = (
    "Windows: Windows 11\nComputer Name: PC\nUser Name: li\n\n[Hardware]\nProcessor:"
    " x\n\n[Processes]\na.exe\n"
)
FAMILIES = {
    "RedLine": Family(
        "UserInformation.txt",
        BANNER + REDLINE,
        P,
        "redline",
        field="field",
        cookies="Cookies/Chrome_Network.txt",
    ),
    "META": Family(
        "UserInformation.txt",
        "( M | E | T | A )\n" + REDLINE,
        "Browser/Passwords/Chrome.txt",
        "redline",
    ),
    "Bradmax": Family(
        "UserInformation.txt", BANNER + REDLINE + "MachineID: 7\n", P, "redline", field="field"
    ),
    "ArechClient2": Family(
        "UserInformation.txt",
        "HWID: A1\nFileLocation: C:\\a\nScreenSize: {Width=1, Height=1}TimeZone:"
        " UTC\nHardwares:\nName: x, 4 Cores\n",
        P,
        "redline",
        field="field",
    ),
    "PXA": Family(
        "UserInformation.txt",
        "Build Comment: x\nUser time: 2026-03-04\nHWID: A1\nIP: 192.0.2.1\nActive window: x\n",
        "Browsers/Logins_Chrome_Default.txt",
        "redline",
        "Browsers/Autofills_Chrome_Default.txt",
        "form",
        "Browsers/Cookies_Chrome_Default.txt",
    ),
    "unattributed": Family(
        "UserInformation.txt",
        "User time: x\nHWID: A1\nIP: 192.0.2.1\nGEO: CN\nPC name: PC\n",
        P,
        "lumma",
    ),
    "Rhadamanthys": Family(
        "UserInformation.txt",
        "Traffic Name: x\nInstall Date: 2020-01-02\nLog date: 2026-03-04\nHWID: A1\nIP:"
        " 192.0.2.1\nDomain Name: WORKGROUP\n",
        "Browser/Logins/Chrome.txt",
        "raccoon",
    ),
    "Lumma": Family(
        "System.txt",
        "LummaC2, Build 1\n- LID: a1\n- Local Date: 04.03.2026 14:05:09\n- Time: 14:05:09"
        " (sig:1772604309.a1)\n- HWID: A1\n- IP Address: 192.0.2.1\n- Computer: PC\n- User: li\n-"
        " Country: CN\n",
        "Chrome/Default/Passwords.txt",
        "lumma",
        "Chrome/Default/Autofills.txt",
        "form",
        "Cookies/Cookies_Chrome_1_Default.txt",
    ),
    "StealC 1": Family(
        "system_info.txt",
        "Network Info:\n\t- IP: 192.0.2.1\n\t- Country: CN\n\nSystem Summary:\n\t- HWID: A1\n\t-"
        " OS: Windows\n\t- UserName: li\n\t- Computer Name: PC\n\t- Local Time: 2026/03/04"
        " 14:05:09\n\t- UTC: 8\n",
        "passwords.txt",
        "stealc",
        "autofill/Google Chrome_Default.txt",
        "spaces",
        "cookies/Google Chrome_Default Network.txt",
    ),
    "StealC 2": Family(
        "Info.txt",
        "Build Date: x\nTime: 14:05 (sig:a1)\nHWID: A1\nNetbios: PC\nExecution Path: C:\\a\n",
        "All Passwords.txt",
        "lumma",
        "autofill/Chrome_Default.txt",
        "columns",
        "cookies/cookie_0a1b.txt",
    ),
    "Vidar": Family(
        "information.txt",
        "Аккаунт\n" + VIDAR + VIDAR_MORE,
        "passwords.txt",
        "vidar",
        "Autofill/Google Chrome_Default.txt",
        "spaces",
    ),
    "Vidar, unique": Family(
        "information.txt",
        VIDAR + VIDAR_MORE,
        "unique_passwords.txt",
        "vidar",
        "Autofill/Google Chrome_Default.txt",
        "columns",
    ),
    "RisePro": Family(
        "information.txt", "Build: a\n" + VIDAR + "IP: 192.0.2.1\n", "passwords.txt", "vidar"
    ),
    "Raccoon 1": Family(
        "System Info.txt",
        "▄▄▄\nRaccoon | 1.7\nBuild compile date: x\nLaunched at: 2026.03.04\nBot_ID:"
        " A1_li\nUsername: li\nLocation: CN\n",
        "Browser/Passwords/Chrome.txt",
        "raccoon",
    ),
    "Raccoon 2": Family(
        "System Info.txt",
        "System Information:\n- Locale: Chinese\n- Time zone: UTC\n- OS: W\nUser ID: a1\nLast seen:"
        " 2026\nIP info: 192.0.2.1\n",
        "passwords.txt",
        "raccoon",
    ),
    "Mars": Family(
        "System Info.txt",
        "Tracker: x\nBuild ID: a\nIP: 192.0.2.1\nCountry: CN\n",
        "Browser/Passwords/C.txt",
        "vidar",
    ),
    "Meduza": Family(
        "UserInfo.txt",
        "NEW LOG (NOT ENCRYPTED)\nBuild Name: x\nLog Date: 04-03-2026, 14:05:09\nHWID: "
        + "a1" * 20
        + "\nIP: 192.0.2.1\nExecute Path: C:\\a\n",
        P,
        "raccoon",
    ),
    "CryptBot": Family(
        "_Information.txt",
        "OS: W\nLocal Date and Time: 2026-03-04\nUserName (ComputerName): li (PC)\nCPU: x\nRAM:"
        " 8\nKeyboard Languages: zh\n",
        "_Passwords.txt",
        "raccoon",
        "_AllForms_list.txt",
        "form",
        "_Cookies.txt",
    ),
    "Predator 3": Family(
        "Information.txt",
        "Launch time: 2026\nUser name: li\nAmount of kernels: 4\nScreen resolution: 1\n",
        "passwords.txt",
        "vidar",
    ),
    "Phemedrone": Family(
        "Information.txt",
        "----- Geolocation Data -----\n\nIP:      192.0.2.1\nCountry: CN\n\n----- Hardware Info"
        " -----\n\nUsername: li\\PC\nHardware ID: A1\nMAC: 0\n\n----- Report Contents"
        " -----\n\nPasswords: 2\n\n----- Miscellaneous -----\n\nFile Location: C:\\a\n",
        P,
        "spaced",
    ),
    "DCRat": Family(
        "Information [CN].txt",
        "Save Time: 2026\nPC Name: PC\nUser: li\nLANIP: 10.0.0.1\nMonitors: 1\n",
        P,
        "dcrat",
    ),
    "WhiteSnake": Family(
        "pc_info.txt",
        "System time: 2026\nHWID: A1\nIP: 192.0.2.1\nInternet provider: x\nStarted as admin: no\n",
        "Browsers/Chrome/Passwords.txt",
        "raccoon",
    ),
    "X-Files": Family(
        "information.txt",
        "Operation ID: a1\nHardware ID: A1\nIP: 192.0.2.1\nUser: li\n",
        "All Passwords.txt",
        "vidar",
    ),
    "Stealerium": Family(
        "Information.txt",
        "[IP]\nExternal IP: 192.0.2.1\nInternal IP: 10.0.0.1\nGateway IP:"
        " 10.0.0.2\n\n[Machine]\nUsername: li\nCompname: PC\nSystem: Windows\nCPU: x\nGPU: x\nRAM:"
        " 8\nDATE: 2026\nSCREEN: 1\n\n[Virtualization]\nVirtualMachine: False\n",
        "Browsers/Google/Passwords.txt",
        "hostname",
        "Browsers/Google/AutoFill.txt",
        "columns",
        "Browsers/Google/Cookies.txt",
    ),
    "WorldWind": Family(
        "pc_info.json",
        '{\n"Hwid": "a1",\n"PcName": "PC",\n"Ip": "192.0.2.1"\n}\n',
        "passwords.txt",
        "raccoon",
        "Autofill/Chrome.txt",
        cookies="Cookies/Chrome_1.txt",
    ),
    "Aurora": Family(
        "System Info.txt",
        "HWID: A1\nIP: 192.0.2.1\nOS: Windows\nCPU: x\n",
        "Browsers/Chrome/Passwords.txt",
        "raccoon",
    ),
    "Mystic": Family(
        "Information.txt",
        "Bot ID: A1\nHWID: A1\nIP: 192.0.2.1\n",
        P,
        "lumma",
        "AutoFill.txt",
        "columns",
    ),
    "Exela": Family(
        "System Info.txt",
        "####System Info####\n\nHost Name:                 PC\nOS Name:                   W\nOS"
        " Version:               10\nSystem Boot Time:          2026\nTime Zone:                "
        " UTC\n",
        P,
        "raccoon",
        "Browsers/Autofills.txt",
    ),
    "Blank Grabber": Family(
        "System/System Info.txt",
        "Host Name:                 PC\nOS Name:                   Windows\nUUID: a1\nIP:"
        " 192.0.2.1\nTime Zone:     UTC\n",
        "Credentials/Chrome/Chrome Passwords.txt",
        "raccoon",
        "Credentials/Chrome/Chrome Autofills.txt",
        cookies="Credentials/Chrome/Chrome Cookies.txt",
    ),
    "Luca": Family(
        "user_info.txt",
        "- IP Info -\nIP: 192.0.2.1\nCountry: CN\n- Log Info -\nFileLocation: C:\\a\n",
        P,
        "raccoon",
    ),
    "Noxy": Family(
        "identification.txt",
        "Uptime: 1\nUser: li\nDisk Devices: C\nOS: Windows\nRAM: 8\nCPU: x\n",
        P,
        "raccoon",
    ),
    "Skalka": Family(
        "Info.txt",
        "Current JarFile Path: C:\\a.jar\nUserName: li\nLanguage & Country: zh CN\n",
        P,
        "raccoon",
    ),
    "RL Stealer": Family(
        "Info.txt", "Current time : 2026\nHWID : A1\nBSSID : 0\nIP : 192.0.2.1\n", P, "spaced"
    ),
    "Ailurophile": Family(
        "info.txt",
        "ip: 192.0.2.1\nmac address: 0\ncountry: CN\nAllowed Extensions: txt\n",
        P,
        "raccoon",
    ),
    "Astris": Family(
        "Information.txt",
        "Antiviruses: none\nPublic IP Address: 192.0.2.1\nCPU: x\nGPU: x\n",
        P,
        "raccoon",
    ),
    "Arcane": Family(
        "information.txt",
        "worker: x\nexternal ip: 192.0.2.1\ninternal ip: 10.0.0.1\nclipboard: x\n",
        P,
        "raccoon",
    ),
    "Nexus": Family(
        "information.txt", "jabber: x\nHWID: A1\nIP address: 192.0.2.1\nNetBIOS: PC\n", P, "raccoon"
    ),
    "Atomic": Family(
        "UserInformation.txt",
        "MetaMask Info:\nIP: 192.0.2.1\nCountry: CN\nHardware UUID: a1\n",
        P,
        "atomic",
        "Autofills.txt",
        "name",
        "Cookies/Chrome_Profile1.txt",
    ),
    "Banshee": Family(
        "system_information.txt", "Log Date: 2026\nHWID: A1\n", P, "atomic", "Autofills.txt", "name"
    ),
    "MacSync": Family(
        "information.txt",
        "Build tag: x\nHardware: MacBook\nGraphics/Displays: x\nPassword: made-up\n",
        "Passwords.txt",
        "atomic",
    ),
    "private logger": Family(
        "bot-A1-A1-systeminfo.txt",
        "==========PC INFO==========\nclient name: PC\nip: 192.0.2.1\ncountry: CN\n",
        "bot-A1-A1-userdata.txt",
        "logger",
        "bot-A1-A1-autofill.txt",
        "blocks",
        "bot-A1-A1-cookies.txt",
    ),
    "leet": Family(
        "System.txt",
        "HWID: A1\nIP: 192.0.2.1\n",
        "_AllPasswords_list.txt",
        "leet",
        "Autofill/Chrome.txt",
    ),
}
OURS = "https://www.bank.example/login"
FOREIGN = "https://shop.other.example/r/www.bank.example/login"


@pytest.fixture
def judge(
    data: Path, ullage: Callable, enrol_once: Callable, tmp_path: Path
) -> Callable[[dict[str, bytes]], dict]:
    """Return a function that assesses an archive for a bank of three hundred customers."""
    enrol_once(data, PEOPLE)
    (data / "ullage.toml").write_text('[tenants.bank]\ndomains = ["bank.example"]\n')

    def assess_archive(members: dict[str, bytes]) -> dict:
        path = tmp_path / "logs.zip"
        path.write_bytes(zip_of(members))
        output = ullage("assess", path, "--json").stdout
        assert "Secr3t" not in output
        return json.loads(output)["tenants"][0]

    return assess_archive


def log(family: Family, number: int, *, logins: bool = True) -> dict[str, bytes]:
    """Return the files of one device, whose owner is a customer.

    Every fourth device belongs to an employee as well.
    """
    person = PEOPLE[number]
    rows = [(FOREIGN, person["email"]), ("https://shop.other.example/", person["phone"])]
    if logins:
        rows += [(OURS, person["phone"])]
        rows += (
            [("https://vpn.bank.example/remote/login", f"worker{number}")]
            if number % 4 == 0
            else []
        )
    files = {
        family.system: family.says,
        family.passwords: "".join(
            LOGINS[family.form].format(url, user, f"Secr3t!{number}x") for url, user in rows
        ),
        family.autofill: "".join(
            AUTOFILLS[family.field].format(label, person[kind]) for label, kind in FIELDS
        ),
        family.cookies: f".other.example\tTRUE\t/\tTRUE\t1790000000\tsid\tSecr3t{number}\n",
    }
    return {f"CN_192.0.2.{number}/{name}": text.encode() for name, text in files.items()}


KEPT = [
    ("system", "passwords", "autofill", "cookies"),
    ("system", "autofill"),
    ("passwords", "autofill"),
]
"""What of a log is there."""


@pytest.mark.parametrize("name", FAMILIES)
def test_logins_in_device_logs_are_counted(judge: Callable, name: str) -> None:
    verdict = judge(
        {path: body for n in range(DEVICES) for path, body in log(FAMILIES[name], n).items()}
    )
    assert (verdict["logins"], verdict["staff_logins"]) == (DEVICES + 3, 3)
    assert "3 of them by staff" in json.dumps(verdict["origin"])
    assert verdict["customers"] == DEVICES
    assert verdict["origin"]["verdict"] == "devices"
    assert "PIPL 57" not in verdict["next_step"]


@pytest.mark.parametrize(("name", "kept"), [*zip(FAMILIES, itertools.cycle(KEPT), strict=False)])
def test_customers_in_device_logs_point_to_devices_without_our_logins(
    judge: Callable, name: str, kept: tuple[str, ...]
) -> None:
    """Names, phones and IDs in forms agree with our records, and say nothing of us; parts of a
    log may be missing.
    """
    family = FAMILIES[name]
    names = [getattr(family, part) for part in kept]
    files = {
        path: body for n in range(DEVICES) for path, body in log(family, n, logins=False).items()
    }
    verdict = judge({path: body for path, body in files.items() if path.partition("/")[2] in names})
    assert (verdict["logins"], verdict["customers"]) == (0, DEVICES)
    assert verdict["origin"]["verdict"] == "devices"
    assert "PIPL 57" not in verdict["next_step"]


def test_text_with_system_details_last_is_a_device_log(judge: Callable) -> None:
    """A bot's only file: passwords of more than eight kilobytes, forms, and the system last."""
    texts = [log(FAMILIES["RedLine"], n, logins=False) for n in range(DEVICES)]
    parts = {name.partition("/")[2]: b"" for name in texts[0]}
    other_logins = b"".join(
        LOGINS["redline"].format(f"https://site{n}.invalid/", f"user{n}", "Secr3t!").encode()
        for n in range(200)
    )
    verdict = judge(
        {
            f"bot-{n}.txt": (
                other_logins + b"".join(text[f"CN_192.0.2.{n}/{name}"] for name in reversed(parts))
            )
            for n, text in enumerate(texts)
        }
    )
    assert verdict["origin"]["verdict"] == "devices"


@pytest.mark.parametrize(
    "name",
    ["customers.txt", "info/customers.txt", "export/cards/customers.txt", "data/customers.txt"],
)
def test_list_beside_device_logs_does_not_point_to_devices(judge: Callable, name: str) -> None:
    rows = "".join("{name},{phone},{resident_id}\n".format(**person) for person in PEOPLE[:200])
    members = {name: rows.encode(), "info/info.txt": b"company: x\ncountry: CN\n"}
    verdict = judge(
        {
            **members,
            **{
                path: body
                for n in range(3)
                for path, body in log(FAMILIES["Lumma"], n, logins=False).items()
            },
        }
    )
    assert verdict["origin"]["verdict"] == "ours"
