"""Sales as they run in chats and on boards, handed in by a collector: what belongs together is
one incident.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.matcher.bank import command, customer, enrol, phone
from ullage.cli import app
from ullage.settings import Context

pytestmark = pytest.mark.flow
START = datetime(2026, 11, 20, 2, 50, tzinfo=UTC)
CUSTOMERS = 1_400
SELLERS = 97
POSTS = 1_200
Run = Callable[..., Result]


@pytest.fixture
def ullage(data: Path, context: Context) -> Run:
    """Return the command line on the folder of a bank of 1,400 customers with a watched brand."""
    enrol(context, "bank", [customer(n) for n in range(CUSTOMERS)])
    (data / "ullage.toml").write_text('[tenants.bank]\nbrands = ["某某银行"]\n', encoding="utf-8")
    sites = data / "sites.d"
    sites.mkdir(exist_ok=True)
    for name, category in (("chat", "chat"), ("board", "forum")):
        text = (
            f'platform = "ingest"\ncategory = "{category}"\nlegal_basis = "test"\nowner = "test"\n'
        )
        (sites / f"{name}.toml").write_text(text, encoding="utf-8")

    def run(*words: Any, text: str = "") -> Result:
        result = CliRunner().invoke(app, command(data, *words), input=text.encode() or None)
        assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"
        return result

    return run


def hand_in(ullage: Run, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the incidents that these lines make, by the whole flow."""
    ullage("ingest", "-", text="\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    ullage("match", "--once")
    ullage("alert", "--once")
    return incidents(ullage)


def incidents(ullage: Run) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in ullage("incidents", "list", "--json", "--limit", 500).stdout.splitlines()
    ]


def sale() -> Iterator[tuple[str, str]]:
    """Yield who says what: fifty messages of a seller, and what others say in between.

    Nineteen of the fifty give customers away.
    """
    yield "seller", "出某某银行 一手贷款客户 30万 带身份证 可验 先样后付"
    ours = iter(range(19))
    for number in range(49):
        if number % 10 == 7:
            yield "buyer", "多少钱 有样吗"
        if number == 20:
            yield "passer-by", f"打我电话 {phone(100)}"
        if number % 5 in (1, 3) and number < 48:
            who = customer(next(ours))
            forms = (
                f"{who['name']} {who['phone']} {who['resident_id']} 已放款 5万",
                f"{who['phone']}",
                f"{who['name']}----{who['phone']}",
            )
            yield "seller", forms[number % 3]
        elif number % 5 == 0:
            yield "seller", f"王某 {phone(500_000 + number)} 已放款 3万"
        else:
            yield "seller", f"要的私 第{number}条"


def chat_lines() -> list[dict[str, Any]]:
    return [
        {
            "site": "chat",
            "channel": "-1001",
            "message_id": str(number),
            "author": who,
            "text": text,
            "published_at": (START + timedelta(seconds=40 * number)).isoformat(),
        }
        for number, (who, text) in enumerate(sale())
    ]


@pytest.mark.parametrize("seed", [None, 1], ids=["in order", "shuffled"])
def test_sale_over_fifty_messages_is_one_incident_with_all_customers(
    ullage: Run, seed: int | None
) -> None:
    lines = chat_lines()
    assert sum(line["author"] == "seller" for line in lines) == 50
    if seed is not None:
        random.Random(seed).shuffle(lines)
    (incident,) = hand_in(ullage, lines)
    assert (incident["customers"], incident["severity"], incident["origin"]) == (19, "high", "ours")
    assert incident["joined"] >= 19
    shown = ullage("incidents", "show", incident["id"]).stdout
    assert f"joined from {incident['joined']} messages of one seller" in shown
    assert hand_in(ullage, lines) == [incident], "what is handed in again changes nothing"


def board_lines() -> list[dict[str, Any]]:
    """List posts of sellers who each repeat one offer in threads of all kinds.

    Each time it is of another customer.
    """
    rng = random.Random(97)
    whose = [number % SELLERS for number in range(POSTS)]
    at = sorted(rng.uniform(0, 20 * 24 * 60) for _ in range(POSTS))
    rng.shuffle(whose)
    words = ("一手", "实时", "当日", "精准", "独家", "老料", "新料", "内部")
    lines = []
    for number, (seller, minutes) in enumerate(zip(whose, at, strict=True)):
        who = customer(number)
        offer = (
            f"{words[seller % 8]}{words[seller // 8 % 8]}{words[seller // 64]} 出贷款客户 联系飞机"
        )
        lines.append(
            {
                "site": "board",
                "url": f"http://board.example/{number}",
                "thread": f"t{rng.randrange(300)}",
                "author": f"seller {seller}",
                "text": (
                    f"{offer}\n{who['name']}----{who['phone']}----{who['resident_id']}\n"
                    f"第{seller}号卖家 {number}"
                ),
                "published_at": (
                    (START - timedelta(days=21) + timedelta(minutes=minutes)).isoformat()
                ),
            }
        )
    return lines


def test_twelve_hundred_posts_of_97_sellers_are_at_most_97_rows(ullage: Run) -> None:
    incidents = hand_in(ullage, board_lines())
    assert sum(incident["customers"] for incident in incidents) == POSTS
    assert len(incidents) <= SELLERS
    assert {len(incident["authors"]) for incident in incidents} == {1}


def test_record_split_over_messages_is_read_whole_when_joined(
    ullage: Run,
) -> None:
    who, line = (
        customer(7),
        {"site": "chat", "channel": "-1001", "author": "seller", "published_at": START.isoformat()},
    )
    pieces = [who["name"], who["phone"], who["resident_id"]]
    (incident,) = hand_in(ullage, [{**line, "message_id": "1", "text": pieces}])
    shown = json.loads(ullage("incidents", "show", incident["id"], "--json").stdout)
    assert (shown["customers"], shown["agreeing"], shown["fields"]) == (
        1,
        1,
        ["ID", "NAME", "PHONE"],
    )
