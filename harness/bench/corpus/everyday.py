"""Write what files hold most of the time: dumps, prose, logs, source code, JSON.

Nobody in it is real, and nothing is disguised.

The same lines for the same seed. `make bench ONLY=ratio` measures how fast they are read,
`tests.matcher.test_precision` how few of their lines are undone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import count

from harness.bench.corpus import anybody
from harness.bench.corpus.prose import prose

SEPARATORS = (",", "|", "----", "\t")
PATHS = (
    "/api/v1/users",
    "/static/js/app.min.js",
    "/img/Logo.png",
    "/login",
    "/usr/lib/python3/Dist-Packages/x.py",
)
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0"
    " Safari/537.36"
)
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NAMES = "index value total rows cells width height node parent buffer offset limit result".split()


def write_dump(rng: random.Random, share: float) -> Iterator[str]:
    """Yield rows of a dump, in which `share` of the people are customers."""
    for number in count(1):
        person, separator = anybody(rng, share), SEPARATORS[number // 300 % len(SEPARATORS)]
        yield separator.join(
            (str(number), person.name, person.phone, person.resident_id, person.card, person.email)
        )


def write_prose(rng: random.Random) -> Iterator[str]:
    """Yield sentences."""
    pool = prose(1)
    while True:
        yield rng.choice(pool)


def write_log(rng: random.Random) -> Iterator[str]:
    """Yield lines of a web server, an application, a kernel and a login daemon."""
    number = rng.randint
    while True:
        second = f"{number(0, 23):02}:{number(0, 59):02}:{number(0, 59):02}"
        time = f"2026-11-{number(1, 28):02}T{second}.{number(0, 999):03}Z"
        address = ".".join(str(number(1, 254)) for _ in range(4))
        path, process, draw = rng.choice(PATHS), number(100, 65000), rng.random()
        if draw < 0.5:
            page = f"GET {path}?id={number(1, 99999)}&page={number(1, 9)} HTTP/1.1"
            yield (
                f'{address} - - [{number(1, 28):02}/Nov/2026:{second} +0800] "{page}" 200'
                f' {number(100, 99999)} "-" "{BROWSER}"'
            )
        elif draw < 0.8:
            request, place = (
                f"{rng.getrandbits(128):032x}",
                f"at com.example.Handler.run(Handler.java:{number(1, 900)})",
            )
            yield (
                f"{time} app[{process}]: INFO id={request} (user {number(1, 99999)}, retry 0)"
                f" {place}"
            )
        elif draw < 0.95:
            yield (
                f"{time} kernel: [{process}.{number(0, 999999):06}] eth0: rx {number(1, 10**7)}"
                f" 0x{rng.getrandbits(48):012x}"
            )
        else:
            key = "".join(rng.choices(BASE64, k=43))
            yield (
                f"{time} sshd[{process}]: Accepted publickey for deploy from {address} port 22"
                f" ssh2: RSA SHA256:{key}"
            )


def write_source(rng: random.Random) -> Iterator[str]:
    """Yield lines of source code."""
    while True:
        name, item, number = rng.choice(NAMES), rng.choice(NAMES), rng.randint(0, 4096)
        yield rng.choice(
            (
                (
                    f"    {name} = ({item}[{number}] + {number}) * 0x{number:04x}  # {item} of the"
                    f" {name}, see {name}.{item}()"
                ),
                f"def make_{name}({item}: list[int], limit: int = {number}) -> tuple[int, ...]:",
                f'        raise ValueError(f"{name} is {{{item}!r}}, not {number}\\n")',
                (
                    f"if ((({name} & {item}) != 0) && {name}->{item}[{number}]"
                    f" > {number}) {{ return"
                    " -1; }"
                ),
                f"// @param {name} the {item} at most, {number}.{number} by default",
                f"#define {name.upper()}_{item.upper()} (1 << {number % 31})",
                (
                    f"    self.{name}_a_{item} = [({number}, {number + 1}), ({number + 2},"
                    f" {number + 3})]"
                ),
                "",
            )
        )


def write_json(rng: random.Random) -> Iterator[str]:
    """Yield records as Python's `json` writes them: Han characters as code points."""
    for number in count(1):
        person = anybody(rng, 0)
        yield json.dumps(
            {
                "id": number,
                "name": person.name,
                "phone": person.phone,
                "email": person.email,
                "city": "北京",
            }
        )


KINDS: dict[str, Callable[[random.Random], Iterator[str]]] = {
    "dump": lambda rng: write_dump(rng, 0),
    "5 % customers": lambda rng: write_dump(rng, 0.05),
    "all customers": lambda rng: write_dump(rng, 1),
    "prose": write_prose,
    "log": write_log,
    "source": write_source,
    "JSON": write_json,
}


def everyday(kind: str, size: int, seed: int = 1) -> bytes:
    """Return at least `size` bytes of one of KINDS, whole lines."""
    lines, length = list[bytes](), 0
    for line in KINDS[kind](random.Random(seed)):
        if length >= size:
            break
        lines.append(line.encode() + b"\n")
        length += len(lines[-1])
    return b"".join(lines)
