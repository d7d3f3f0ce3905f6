"""Labels that stand before the address, the login and the password of a record, in whatever language and spelling.

Which there are is taken from the published grammar of lexfo/stealer-parser and from browsers' and password managers' exports.
The expressions begin with a set of bytes: a search skips what begins no label, four times as fast as one that ignores case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ullage.regex import compile_later

_SIGN_IN = ("登录", "登陆", "登錄", "登入")
ADDRESS = (
    *"origin[_ ]?url,signon[_ ]?realm,login[_ ]?ur[il],url address,url,ur1,uri,host ?name,host,origin,server,site".split(","),
    *"domain,link".split(","),
    *(word + of for of in ("地址", "网址") for word in _SIGN_IN),
    *"网站地址,网站,网址,網站,網址,链接,連結,站点,域名,地址".split(","),
)
LOGIN = (
    *"user[_ ]?login,login[_ ]?user(?:[_ ]?name)?,login[_ ]?name,user[_ ]?name(?:_?value)?,user[_ ]?id,user,usr".split(","),
    *"uname,login,u53rn4m3,account[_ ]?name,account,acc,e-?mail".split(","),
    *(word + of for of in ("名", "账号") for word in _SIGN_IN),
    *"用户名,用戶名,用户,用戶,账号,账户,帐号,帐户,帳號,帳戶,賬號,手机号码,手机号,手機號".split(","),
)
PASSWORD = (
    *"user[_ ]?password,login[_ ]?password,password(?:_?value)?,passwd,passw,pass,p455w0rd,pwd,psw,pw".split(","),
    *(word + of for of in ("密码", "密碼") for word in _SIGN_IN),
    *"密码,密碼,口令".split(","),
)
PASSWORD_SIGNS = tuple(sign.encode() for sign in ("pass", "pw", "psw", "p455", "密码", "密碼", "口令"))
"""One of these, in lower case, is part of each label of a password."""
JOIN = (
    rb"(?:[\"'*`\])]{0,3}[ \t]{0,8}(?:=>|[:=])[ \t]{0,8}[\"'*`<\[(]{0,4}[ \t]{0,4}"
    rb"|(?:[ \t][^<>\n]{0,64})?>[ \t]{0,8}(?:<!\[(?i:CDATA)\[)?|</(?i:key)>\s{0,32}<(?i:value)[^<>]{0,64}>"
    rb"|(?<=[\x80-\xff])[ \t]{1,4})"
)
"""Between a label and its value: a sign, an element of XML, one of KeePass, or spaces behind a Chinese one."""
JOIN_ENDS = b" \t\"'*`<[(:=>"
"""With one of these a join ends."""
NOT_SAVED = rb"\[?(?i:not[_ ]saved)"


def _both_cases(text: str) -> bytes:
    """An expression that finds small letters and capitals."""
    each = re.compile(r"\[[^\[\]]*\]|[a-z]")
    return each.sub(lambda m: m[0][:-1] + m[0][1:].upper() if m[0][0] == "[" else f"[{m[0]}{m[0].upper()}]", text).encode()


def _first(words: Iterable[str]) -> bytes:
    """The bytes with which words begin, to stand in a set; with capitals."""
    firsts = {word[0].encode()[:1] for word in words}
    return b"".join(b"\\x%02x" % byte for byte in sorted({*b"".join(firsts), *b"".join(firsts).upper()}))


def _behind_first(words: Iterable[str]) -> bytes:
    """What follows on the first byte of each of `words`, which stands before it: longer words come before their beginnings."""
    rests = dict[bytes, list[bytes]]()
    for word in words:
        rest = word[0].encode()[1:]
        rests.setdefault(_first([word]), []).append(rest + _both_cases(word[1:]))
    return b"(?:" + b"|".join(b"(?<=[%b])(?:%b)" % (first, b"|".join(rest)) for first, rest in rests.items()) + b")"


def _label(words: Iterable[str]) -> bytes:
    """An expression for one of `words` where no word goes on."""
    words = tuple(words)
    return b"[%b]%b%b" % (_first(words), ALONE, _behind_first(words))


def any_label(words: Iterable[str]) -> bytes:
    """The same ignoring case, for what is tried on few texts."""
    return rb"(?i)(?<![a-z0-9_])(?:" + "|".join(words).encode() + rb")"


ALONE = rb"(?<![A-Za-z0-9_].)"
ADDRESS_LABEL = compile_later(_label(ADDRESS) + JOIN + rb"$")
NEXT_ADDRESS = compile_later(rb"[:%b](?:(?<=:)//|%b%b%b)" % (_first(ADDRESS), ALONE, _behind_first(ADDRESS), JOIN))
"""The beginning of an address, or its label."""
LOGIN_LABEL = compile_later(_label(LOGIN) + JOIN + rb"([^\s\"'<>|,;{}]{2,128})")
PASSWORD_LABEL = compile_later(_label(PASSWORD) + JOIN + rb"(?!" + NOT_SAVED + rb")[^\s\"'<>]")
LABELS = compile_later(
    b"[%b]%b(?:%b|(%b))%b"
    % (
        _first((*ADDRESS, *LOGIN, *PASSWORD)),
        ALONE,
        _behind_first(ADDRESS),
        _behind_first((*LOGIN, *PASSWORD)),
        JOIN,
    )
)
"""Any of the three; the group is one of a login or password."""
