"""Logins in every layout that browsers, password managers and stealers write, and in none at
another's site.
"""

from collections.abc import Callable

import pytest

from matcher.columns.batch import Batch
from matcher.records.logins import LoginFinder
from matcher.text import fold

DOMAINS = {"bank.example": "bank", "com.bank.app": "bank"}
FINDER = LoginFinder(DOMAINS, {"bank": ("vpn.bank-staff.example",)})
URL = "https://www.bank.example/login"
PEOPLE = [(f"li.na{n}@mail.example", f"Secr3t!{n}x") for n in range(3)]
Form = Callable[[list[tuple[str, str, str]]], str]


def logins(text: str) -> int:
    """Return how many different logins at the bank's sites a text holds."""
    lines = FINDER.find(FINDER.sites.hosts(Batch.join([fold(text).utf8])))
    return len({*zip(lines.tenant.tolist(), lines.key.tolist(), strict=True)})


def each(form: str) -> Form:
    return lambda rows: "".join(
        form.format(url=url, user=user, secret=secret) for url, user, secret in rows
    )


def join_rows(head: str, form: str, between: str, tail: str) -> Form:
    return lambda rows: head + between.join(each(form)([row]) for row in rows) + tail


BLOCK = "URL: {url}\nUsername: {user}\nPassword: {secret}\n"
FORMS: dict[str, Form] = {
    "Chrome's export": join_rows(
        "name,url,username,password,note\n", "bank.example,{url},{user},{secret},", "\n", "\n"
    ),
    "quoted Chrome's export": join_rows(
        '"name","url","username","password"\n',
        '"bank.example","{url}","{user}","{secret}"',
        "\n",
        "\n",
    ),
    "Firefox's export": join_rows(
        '"url","username","password","httpRealm","formActionOrigin","guid"\n',
        (
            '"{url}","{user}","{secret}",,"https://www.bank.example",'
            '"{{0a1b2c3d-0000-4000-8000-000000000000}}"'
        ),
        "\n",
        "",
    ),
    "Safari's export": join_rows(
        "Title,URL,Username,Password,Notes,OTPAuth\n", "Bank,{url},{user},{secret},,", "\n", "\n"
    ),
    "Bitwarden's export": join_rows(
        (
            "folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,"
            "login_password,login_totp\n"
        ),
        ",,login,Bank,,,0,{url},{user},{secret},",
        "\n",
        "\n",
    ),
    "KeePass's export": join_rows(
        '"Account","Login Name","Password","Web Site","Comments"\n',
        '"Bank","{user}","{secret}","{url}",""',
        "\n",
        "\n",
    ),
    "quoted with commas in passwords": each('"{url}","{user}","{secret},x","2026"\n'),
    "semicolons": each("{url};{user};{secret}\n"),
    "tabs": each("{url}\t{user}\t{secret}\n"),
    "spaced pipes": each("{url} | {user} | {secret}\n"),
    "pipes with the browser": each("Chrome | {url} | {user} | {secret}\n"),
    "spaces": each("{url} {user} {secret}\n"),
    "space and colon": each("{url} {user}:{secret}\n"),
    "spaced dashes": each("{url} - {user} - {secret}\n"),
    "dashes": each("{url}----{user}----{secret}\n"),
    "dashes without a scheme": each("bank.example----{user}----{secret}\n"),
    "dashes with the address last": each("{user}----{secret}----{url}\n"),
    "labels joined by pipes": each("URL: {url} | USER: {user} | PASS: {secret}\n"),
    "labels joined by pipes without spaces": each("URL:{url}|USER:{user}|PASS:{secret}\n"),
    "labels joined by commas": each("url={url}, login={user}, password={secret}\n"),
    "labels with the address last": each("Login: {user} | Password: {secret} | Host: {url}\n"),
    "USR": each("URL: {url}\nUSR: {user}\nPWD: {secret}\n\n"),
    "USR on one line": each("URL: {url} USR: {user} PW: {secret}\n"),
    "leet": each("UR1: {url}\nU53RN4M3: {user}\nP455W0RD: {secret}\n"),
    "RedLine": each(BLOCK + "Application: Google_[Chrome]_Default\n===============\n"),
    "Lumma": each("SOFT: Chrome (Default)\nURL: {url}\nUSER: {user}\nPASS: {secret}\n"),
    "StealC": each(
        "browser: Chrome\nprofile: Default\nurl: {url}\nlogin: {user}\npassword: {secret}\n\n"
    ),
    "Vidar": each("Soft: Chrome [Default]\nHost: {url}\nLogin: {user}\nPassword: {secret}\n\n"),
    "user first": each("Username: {user}\nPassword: {secret}\nURL: {url}\n\n"),
    "user first without gaps": each("Username: {user}\nPassword: {secret}\nURL: {url}\n"),
    "address in the middle": each("Login: {user}\nHost: {url}\nPassword: {secret}\n\n"),
    "spaces before colons": each("URL      : {url}\nUsername : {user}\nPassword : {secret}\n\n"),
    "browser heading": each(
        '["Chrome" = "Default"]\nHostname: {url}\nUser login: {user}\nUser password: {secret}\n\n'
    ),
    "bullets": each("- URL: {url}\n- Login: {user}\n- Password: {secret}\n\n"),
    "bold labels": each("**URL:** {url}\n**Login:** {user}\n**Password:** {secret}\n\n"),
    "address on its own line": each("{url}\nLogin: {user}\nPassword: {secret}\n\n"),
    "three lines": each("{url}\n{user}\n{secret}\n\n"),
    "Chinese labels": each("网址：{url}\n账号：{user}\n密码：{secret}\n\n"),
    "Chinese labels on one line": each("网址：{url} 账号：{user} 密码：{secret}\n"),
    "Chinese labels without colons": each("网址 {url} 账号 {user} 密码 {secret}\n"),
    "other Chinese labels": each("登录地址: {url}\n登录名: {user}\n登录密码: {secret}\n\n"),
    "traditional labels": each("網址：{url}\n帳號：{user}\n密碼：{secret}\n\n"),
    "Chinese header": join_rows("网址,账号,密码\n", "{url},{user},{secret}", "\n", "\n"),
    "objects": each('{{"url":"{url}","username":"{user}","password":"{secret}"}}\n'),
    "minified array of objects": join_rows(
        "[",
        '{{"origin_url":"{url}","username_value":"{user}","password_value":"{secret}"}}',
        ",",
        "]",
    ),
    "pretty objects": join_rows(
        "[\n",
        '  {{\n    "browser": "Chrome",\n    "url": "{url}",\n    "username": "{user}",\n   '
        ' "password": "{secret}"\n  }}',
        ",\n",
        "\n]\n",
    ),
    "pretty objects with the address last": join_rows(
        "[\n",
        '  {{\n    "password": "{secret}",\n    "url": "{url}",\n    "username": "{user}"\n  }}',
        ",\n",
        "\n]\n",
    ),
    "Bitwarden's objects": join_rows(
        '{"items":[',
        (
            '{{"name":"Bank","login":{{"uris":[{{"match":null,"uri":"{url}"}}],'
            '"username":"{user}","password":"{secret}"}}}}'
        ),
        ",",
        "]}",
    ),
    "arrays": join_rows("[", '["{url}","{user}","{secret}"]', ",", "]"),
    "pretty arrays": join_rows(
        "[\n", '  [\n    "{url}",\n    "{user}",\n    "{secret}"\n  ]', ",\n", "\n]\n"
    ),
    "SQL": join_rows(
        "", "INSERT INTO `logins` VALUES (7,'{url}','{user}','{secret}','2026-01-02');", "\n", "\n"
    ),
    "SQL with columns": join_rows(
        "INSERT INTO logins (id, username, password, created, url) VALUES\n",
        "(7, '{user}', '{secret}', '2026-01-02', '{url}')",
        ",\n",
        ";\n",
    ),
    "XML": each(
        "<login><url>{url}</url><username>{user}</username><password>{secret}</password></login>\n"
    ),
    "pretty XML": join_rows(
        "<logins>\n",
        "  <login>\n    <url>{url}</url>\n    <username>{user}</username>\n   "
        " <password>{secret}</password>\n  </login>\n",
        "",
        "</logins>\n",
    ),
    "KeePass's XML": each(
        "<Entry><String><Key>Password</Key><Value>{secret}</Value></String><String>"
        "<Key>URL</Key><Value>{url}</Value></String>"
        "<String><Key>UserName</Key><Value>{user}</Value></String></Entry>\n"
    ),
    "Markdown": join_rows(
        "| URL | Login | Password |\n|---|---|---|\n", "| {url} | {user} | {secret} |", "\n", "\n"
    ),
    "Markdown with the address last": join_rows(
        "| # | Login | Password | Site |\n|---|---|---|---|\n",
        "| 1 | {user} | {secret} | {url} |",
        "\n",
        "\n",
    ),
    "port": each("https://www.bank.example:8443/app/login:{user}:{secret}\n"),
    "port without a path": each("www.bank.example:8443:{user}:{secret}\n"),
    "password with colons": each("{url}:{user}:{secret}:1;x\n"),
    "query": each("{url}?next=/a:b&x=1#top:{user}:{secret}\n"),
    "no scheme": each("//www.bank.example/:{user}:{secret}\n"),
    "login, password, address": each("{user}:{secret}:{url}\n"),
    "login, password with colons, address": each("{user}:{secret}:x:{url}\n"),
    "address, password, login": each("{url}:{secret}:{user}\n"),
    "password, login, address": each("{secret}:{user}:{url}\n"),
    "app": each("android://Y2Vy-dA_x==@com.bank.app/:{user}:{secret}\n"),
    "app in a block": each(
        "URL: android://Y2Vy-dA_x==@com.bank.app/\nUsername: {user}\nPassword:"
        " {secret}\n===============\n"
    ),
    "app by the reversed domain": each(
        "android://Y2Vy-dA_x==@example.bank.mobile/:{user}:{secret}\n"
    ),
    "app in a table": each("android://Y2Vy-dA_x==@com.bank.app/,{user},{secret}\n"),
    "user information in the address": each("https://x:y@www.bank.example/login|{user}|{secret}\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_logins_at_own_sites_are_counted_in_each_layout(form: str) -> None:
    text = FORMS[form]([(URL, user, secret) for user, secret in PEOPLE])
    assert logins(text) == len(PEOPLE)


def names_us(form: str) -> bool:
    """Return whether a layout names our site whatever its rows hold."""
    return "bank." in FORMS[form]([("", "", "")])


OTHERS_FORMS = [form for form in FORMS if not names_us(form)]


@pytest.mark.parametrize("form", OTHERS_FORMS)
def test_only_our_login_among_foreign_ones_is_counted(form: str) -> None:
    """The one login of ours is counted, and what surrounds it is not taken for it."""
    foreign = "https://shop.other.example/login"
    rows = [
        (URL if n == 2 else foreign, f"li.na{n}@mail.example", f"Secr3t!{n}x") for n in range(5)
    ]
    assert logins(FORMS[form](rows)) == 1


FOREIGN = (
    "https://shop.other.example/?next=https://www.bank.example/login",
    "https://shop.other.example/www.bank.example/login",
    "https://shop.other.example/login?site=www.bank.example",
    "https://shop.other.example/#www.bank.example",
    "https://www.bank.example@shop.other.example/login",
    "https://www.bank.example:x1@shop.other.example/login",
    "https://www.bank.example:8443@shop.other.example/login",
    "https://www.bank.example.other.example/login",
    "https://www-bank.example.other.example/login",
    "https://mybank.example/login",
    "https://shop.other.example/a;bank.example",
    "https://shop.other.example/a,bank.example/login",
    "https://web.archive.example/web/2026/https://www.bank.example/login",
    "https://shop.other.example/redirect/https%3A%2F%2Fwww.bank.example%2Flogin",
    "shop.other.example/?u=www.bank.example/login",
    "android://Y2VydA==@com.other.app/https://www.bank.example",
    "android://www.bank.example@com.other.app/",
    "https://shop.other.example:8080/?r=//www.bank.example/",
)


@pytest.mark.parametrize("form", OTHERS_FORMS)
def test_foreign_url_containing_our_domain_is_foreign(form: str) -> None:
    assert [
        url
        for url in FOREIGN
        if logins(FORMS[form]([(url, user, secret) for user, secret in PEOPLE]))
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "Visit https://bank.example/login for details",
        "https://bank.example/login is down again",
        "https://bank.example/ - Online banking - Login",
        (
            '10.0.0.1 - - [01/Jan/2026:00:00:00 +0800] "GET / HTTP/1.1" 200 512'
            ' "https://bank.example/login" "Mozilla/5.0 (X11)"'
        ),
        "GET https://bank.example/login HTTP/1.1 200",
        "https://bank.example/a,2026-01-02,0.8",
        (
            "URL: https://bank.example/login\nTitle: Bank\nURL: https://shop.other.example/\nUSER:"
            " li.na\nPASS: Secr3t!x\n"
        ),
        (
            "URL: https://shop.other.example/\nUSER: li.na\nPASS: Secr3t!x\nURL:"
            " https://bank.example/login\n"
        ),
        "URL: https://shop.other.example/\nUSER: li.na\nPASS: https://bank.example/\n\n",
        (
            "URL: https://shop.other.example/\nUSER: li.na\nPASS: Secr3t!x\nNote:"
            " https://bank.example/\n\n"
        ),
        (
            '{"logins":[{"url":"https://bank.example"},{"url":"https://shop.other.example",'
            '"username":"li.na","password":"Secr3t!x"}]}'
        ),
        (
            '{"url":"https://shop.other.example","action_url":"https://bank.example/",'
            '"username":"li.na","password":"Secr3t!x"}'
        ),
        (
            '{"url":"https://shop.other.example","name":"bank.example","username":"li.na",'
            '"password":"Secr3t!x"}'
        ),
        "https://shop.other.example,li.na,Secr3t!x,https://bank.example/",
        "https://shop.other.example/:li.na:https://bank.example/",
        "bank.example@shop.other.example:Secr3t!x:abc",
        "URL: https://bank.example/login\nUSER: \nPASS: Secr3t!x\n",
        "URL: https://bank.example/login\nUSER: UNKNOWN\nPASS: Secr3t!x\n",
        "URL: https://bank.example/login\nUSER: li.na\nPASS: \n",
        "URL: https://bank.example/login\nUSER: li.na\nPASS: [NOT_SAVED]\n",
        "chrome://settings\nbank.example\nfile:///C:/bank.example/a",
    ],
)
def test_mention_of_our_site_is_not_a_login(text: str) -> None:
    assert logins(text) == 0


def test_account_on_several_pages_of_a_host_is_one_login() -> None:
    assert (
        logins(
            "".join(
                f"https://www.bank.example/{page}:li.na:Secr3t!{page}\n"
                for page in ("login", "", "app")
            )
        )
        == 1
    )
    assert (
        logins("https://m.bank.example/:li.na:Secr3t!x\nhttps://pay.bank.example/:li.na:Secr3t!x\n")
        == 2
    )


def test_logins_of_password_first_list_are_counted() -> None:
    """One login under ten passwords: by the columns, and not by what stands second."""
    text = "".join(f"https://www.bank.example/:Secr3t!{n}x:li.na@mail.example\n" for n in range(10))
    assert logins(text) == 1


def test_thousand_foreign_lines_are_not_our_logins() -> None:
    lines = [f"{FOREIGN[n % len(FOREIGN)]}:user{n}@mail.example:Secr3t!{n}x" for n in range(1000)]
    assert logins("\n".join(lines)) == 0
