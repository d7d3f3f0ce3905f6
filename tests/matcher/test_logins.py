"""Logins at a tenant's own domain: every written form is found, what is no login is not, and
nothing of it is kept.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.match.whose_rows import select_own_cards
from matcher.records.logins import LoginFinder, LoginLines

FINDER = LoginFinder({"bank.example": "bank", "pay.bank.example": "pay", "other.example": "other"})


def find_with(finder: LoginFinder, *texts: str) -> LoginLines:
    return finder.find(finder.sites.hosts(Batch.join([text.encode() for text in texts])))


def find_logins(*texts: str) -> LoginLines:
    return find_with(FINDER, *texts)


def tenants(text: str) -> list[str]:
    lines = find_logins(text)
    return [lines.tenants[n] for n in lines.tenant.tolist()]


def distinct(lines: LoginLines) -> dict[tuple[int, str], int]:
    """Return how many different logins each document has at each tenant."""
    logins = {*zip(lines.document.tolist(), lines.tenant.tolist(), lines.key.tolist(), strict=True)}
    return dict(Counter((document, lines.tenants[tenant]) for document, tenant, _ in logins))


@pytest.mark.parametrize(
    "text",
    [
        "https://bank.example/login:user1:secret",
        "https://www.bank.example/a/b?c=d:someone@example.com:secret",
        "HTTPS://BANK.EXAMPLE:8443/login:user1:secret",
        "bank.example:user1:secret",
        "bank.example:15400000001:secret",
        "bank.example/login:user1:se:cret",
        "bank.example|user1|secret",
        "m.bank.example;user1;secret;extra",
        "https://bank.example/login\tuser1\tsecret",
        "https://bank.example/,user1,secret",
        "user1:secret:https://bank.example/login",
        "URL: https://bank.example/login\nUSER: user1\nPASS: secret",
        "SOFT: Chrome\nHost: https://bank.example/\nLogin: user1\nPassword: secret\n",
        "UR1: https://bank.example/\nU53RN4M3: user1\nP455W0RD: secret",
        "url: https://bank.example/\nBrowser: x\nuser login: user1\nuser password: secret",
        '{"url":"https://bank.example/login","username":"user1","password":"secret"}',
        '{"username":"user1","password":"secret","url":"https://bank.example"}',
        "网址: https://bank.example\n用户名: user1\n密码: secret",
        "登录bank.example:user1:secret",
    ],
)
def test_login_at_tenant_host_is_found_in_each_form(text: str) -> None:
    assert tenants(f"first line\n{text}\nlast line") == ["bank"]


@pytest.mark.parametrize(
    "text",
    [
        "bank.example",
        "https://bank.example/login",
        "https://bank.example:8443/login:user1",
        "see https://bank.example/login: it is new",
        "someone@bank.example:secret1:secret2",
        "someone@mail.bank.example:secret1:secret2",
        "mybank.example:user1:secret",
        "bank.example.com:user1:secret",
        "bank.examples:user1:secret",
        "https://bank.example/2026-11-24T12:30:45",
        "GET https://bank.example/x 12:30:45",
        "bank.example,2024-01-01,active",
        "官网:bank.example:客服:电话",
        "bank.example::secret",
        "URL: https://bank.example/\nURL: https://third.example/\nUSER: user1\nPASS: secret",
        "URL: https://bank.example/\nUSER: user1\n",
        "URL: https://bank.example/\n\n\n\n\n\n\nUSER: user1\nPASS: secret",
        f"bank.example/{'a' * 2000}:user1:secret",
    ],
)
def test_mention_of_the_host_is_not_a_login(text: str) -> None:
    assert tenants(text) == []


def test_longest_domain_decides_the_tenant() -> None:
    assert tenants(
        "pay.bank.example:user1:secret\nx.pay.bank.example:user1:secret\nbank.example:user1:secret"
    ) == [
        "pay",
        "pay",
        "bank",
    ]


def test_line_and_block_are_one_login_each() -> None:
    texts = [
        "x\nbank.example:15400000001:secret\ny",
        "URL: https://bank.example\nUSER: a@example.com\nPASS: secret\nbank.example",
    ]
    assert find_logins(*texts).document.tolist() == [0, 1]


def test_distinct_logins_are_counted_by_document_and_tenant() -> None:
    line = "bank.example:{}:secret\n".format
    lines = find_logins(
        line("user1") + line("USER1") + line("user2") + "other.example:user1:secret", line("user1")
    )
    assert distinct(lines) == {(0, "bank"): 2, (0, "other"): 1, (1, "bank"): 1}


def test_logins_of_two_parts_are_compared_by_key() -> None:
    first, second = (
        find_logins("bank.example:user1:secret\nbank.example:user2:secret"),
        find_logins("bank.example:USER1:other"),
    )
    assert set(second.key.tolist()) < set(first.key.tolist())


def test_login_and_password_are_not_kept() -> None:
    lines = find_logins("https://bank.example/:someone@example.com:secret-password")
    assert "someone" not in repr(lines)
    assert "secret-password" not in repr(lines)


def test_block_does_not_continue_in_the_next_text() -> None:
    lines = find_logins("URL: https://bank.example\nUSER: user1", "PASS: secret")
    assert not len(lines.key)


def test_no_domains_find_nothing() -> None:
    assert not len(find_with(LoginFinder({}), "bank.example:user1:secret").key)


words = st.text("abcXYZ0189._", min_size=3, max_size=12)


@given(
    words,
    words,
    st.sampled_from("|;:"),
    st.sampled_from(["", "https://", "http://www."]),
    st.sampled_from(["", "/", "/login"]),
)
def test_any_login_and_password_are_found(
    login: str, password: str, separator: str, scheme: str, path: str
) -> None:
    lines = find_logins(f"{scheme}bank.example{path}{separator}{login}{separator}{password}")
    assert distinct(lines) == {(0, "bank"): 1}


@given(
    st.from_regex(r"[a-z0-9._\-]{1,12}(@[a-z0-9.\-]{3,12})?", fullmatch=True),
    st.from_regex(r"[!-9;-{}~]{3,12}", fullmatch=True),
    st.sampled_from(["", "/", "/login", "/a-b--c", "/a?b=c&d=e#f", "/a/1.html"]),
)
def test_line_starting_with_url_is_read_alike_by_both_paths(
    login: str, password: str, path: str
) -> None:
    """The usual line is read in one step, any other in several."""
    line = f"https://bank.example{path}:{login}:{password}"
    assert (
        find_logins(line).key.tolist()
        == find_logins(f"https://bank.example{path}:{login}:{password}\r").key.tolist()
    )


cards = st.lists(st.from_regex(r"62[0-9]{12,17}", fullmatch=True), max_size=20)
ranges = st.lists(st.from_regex(r"62[0-9]{2,6}", fullmatch=True), max_size=4)


@given(cards, ranges, ranges)
def test_own_cards_are_selected_by_prefix(
    numbers: list[str], bank: list[str], other: list[str]
) -> None:
    numbers += [f"{digits}{'0' * (16 - len(digits))}" for digits in bank]
    normal = np.frombuffer(
        b"".join(n.encode().ljust(19, b"\0") for n in numbers), np.uint8
    ).reshape(-1, 19)
    matches = select_own_cards(
        normal, np.array([len(n) for n in numbers], np.int64), {"bank": bank, "other": other}
    )
    for tenant, digits in (("bank", bank), ("other", other)):
        assert matches[tenant].tolist() == [n.startswith(tuple(digits)) for n in numbers]


@pytest.mark.parametrize(
    ("text", "staff"),
    [
        ("https://bank.example/login:user1:secret", False),
        ("https://oa.bank.example/login:user1:secret", True),
        ("https://x.oa.bank.example/login:user1:secret", True),
        ("https://xoa.bank.example/login:user1:secret", False),
        # its own domain's addresses are its people's
        ("https://bank.example/login:li.na@bank.example:secret", True),
        ("https://bank.example/login:li.na@mail.bank.example:secret", True),
        ("https://bank.example/login:li.na@notbank.example:secret", False),
        ("https://bank.example/login:li.na@supplier.example:secret", True),
        ("https://sso.vendor.example/login:user1:secret", True),
        ("https://other.example/login:li.na@supplier.example:secret", False),
        ("URL: https://oa.bank.example/\nUSER: user1\nPASS: secret", True),
        ("https://vpn.bank.example/remote/login:zhangwei:secret", True),
        ("https://crm-test2.bank.example:8443/login:zhangwei:secret", True),
        ("URL: https://admin.bank.example/console\nUSER: user1\nPASS: secret", True),
        ("https://vpn.other.example/login:user1:secret", True),
        ("https://bank.example/sys/admin/login:user1:secret", True),
        ("https://www.bank.example/login:root:secret", True),
        ("https://m.bank.example/login:user1:secret", False),
        ("https://myadmins.bank.example/administration:user1:secret", False),
        ("https://bank.example/login?next=/admin:user1:secret", False),
    ],
)
def test_staff_login_is_recognised_by_host_or_address(text: str, staff: bool) -> None:
    finder = LoginFinder(
        {"bank.example": "bank", "other.example": "other"},
        {"bank": ("oa.bank.example", "@supplier.example", "sso.vendor.example")},
    )
    assert find_with(finder, text).staff.tolist() == [staff]
