"""`ullage source`: states from the victims of fraud alone whose leak it was, without naming one."""

import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.store import open_configured_store
from matcher.cli.source.report import format_ratio
from tests.matcher.bank import command, customer
from ullage.audit import read_entries
from ullage.cli import app
from ullage.settings import Context

CUSTOMERS = 3_000
REGIONS = ("north", "south", "east")
PEOPLE = [
    customer(n, cohort_region=REGIONS[n % 3], cohort_export=f"E{n // 1000}")
    for n in range(CUSTOMERS)
]
REFERENCES = [row["customer_ref"] for row in PEOPLE]
COURIER, GATEWAY = range(0, 3_000, 10), range(5, 3_000, 7)
"""A tenth of the customers, and a seventh."""
TRANSFERS = "customer_ref,recipient,kind,fields,from,to\n" + "".join(
    [
        f"{REFERENCES[n]},Courier Ltd,partner,NAME PHONE LOAN,2020-03-01,2020-03-01\n"
        for n in COURIER
    ]
    + [f"{REFERENCES[n]},SMS gateway,supplier,PHONE,2020-01-01,\n" for n in GATEWAY]
)
WORDS = ("--tenant", "bank", "--purpose", "find the leak")


def run(data: Path, *words: object) -> Result:
    return CliRunner().invoke(app, command(data, *words))


@pytest.fixture(scope="session")
def world_folder(fresh_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with 3,000 customers and two recipients of their data, to be copied."""
    folder = tmp_path_factory.mktemp("world")
    data = shutil.copytree(fresh_data, folder / "data")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PEOPLE[0]))
    writer.writeheader()
    writer.writerows(PEOPLE)
    (folder / "list.csv").write_text(text.getvalue(), encoding="utf-8")
    (folder / "transfers.csv").write_text(TRANSFERS, encoding="utf-8")
    words = (folder / "list.csv", "--tenant", "bank", "--digests", "none")
    assert run(data, "watchlist", "load", *words).exit_code == 0
    words = (folder / "transfers.csv", "--tenant", "bank")
    assert run(data, "watchlist", "transfers", *words).exit_code == 0
    open_configured_store(Context(data)).close()
    return data


@pytest.fixture
def report_victims(data: Path, world_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that imports fraud cases of these customers; it returns the data folder."""
    shutil.copytree(world_folder, data, dirs_exist_ok=True)

    def report(numbers: Sequence[int], day: str = "2020-05-01", knew: str = "") -> Path:
        lines = "".join(f"{REFERENCES[n]},{day},X1,{knew}\n" for n in numbers)
        (tmp_path / "cases.csv").write_text(f"customer_ref,first_contact,scam,knew\n{lines}")
        result = run(data, "fraud-cases", "import", tmp_path / "cases.csv", "--tenant", "bank")
        assert result.exit_code == 0, result.output
        return data

    return report


def draw(of_courier: int, others: int, seed: int = 1) -> list[int]:
    """Draw victims: customers of the courier, and any others."""
    random_ = random.Random(seed)
    called = random_.sample(COURIER, of_courier)
    return called + random_.sample(sorted(set(range(CUSTOMERS)) - set(called)), others)


def state(data: Path, *words: str) -> dict[str, object]:
    result = run(data, "source", *WORDS, "--json", *words)
    return {**json.loads(result.stdout.splitlines()[-1]), "exit": result.exit_code}


def get_ratio(statement: dict[str, object]) -> float:
    """Return the common logarithm of the courier's likelihood ratio."""
    return next(c["log10_ratio"] for c in statement["candidates"] if c["id"] == "partner-1")


def test_source_of_most_victims_is_stated(report_victims) -> None:
    statement = state(report_victims(draw(70, 50)))
    assert statement["exit"] == 0
    assert statement["verdict"] in ("named", "indication")
    assert statement["set"][0] == ["partner-1"]
    assert all("partner-1" in members for members in statement["set"])
    first = statement["candidates"][0]
    assert (first["id"], first["name"], first["kind"]) == ("partner-1", None, "partner")
    assert first["log10_ratio"] == pytest.approx(sum(first["log10_added"].values()), abs=0.01)
    assert first["odds_ratio"][1] > 2


def test_victims_by_chance_name_nobody(report_victims) -> None:
    statement = state(report_victims(draw(0, 120)))
    assert statement["verdict"] in ("none of these", "cannot tell")
    assert [] in statement["set"]


def test_fewer_than_20_victims_give_no_statement_and_no_count(report_victims) -> None:
    data = report_victims(draw(19, 0))
    result = run(data, "source", *WORDS)
    assert result.exit_code == 3
    assert "fewer than 20 victims" in result.stdout
    assert "partner-1" not in result.stdout
    assert "19" not in result.stdout
    statement = state(data)
    assert (statement["victims"], statement["set"], statement["candidates"]) == (None, [], [])


def test_no_reference_pseudonym_or_name_is_printed(report_victims) -> None:
    data = report_victims(draw(70, 50))
    texts = [run(data, "source", *WORDS, *more).output for more in ((), ("--json",))]
    for text in texts:
        assert "Courier" not in text
        assert "SMS" not in text
        assert not any(reference in text for reference in REFERENCES)
    assert "partner-1 (Courier Ltd)" in run(data, "source", *WORDS, "--names").output


def test_text_says_what_was_added_and_what_would_decide(report_victims) -> None:
    text = run(report_victims(draw(70, 50), knew="LOAN"), "source", *WORDS).output
    assert "95 % set: partner-1" in text
    assert "as powers of ten: customers +" in text
    assert "most callers knew: LOAN" in text
    assert "would decide: honeytokens in the next transfer to partner-1" in text
    assert "no earlier cases: each candidate's usual excess is unknown" in text
    assert "Quote ratio, prior and probability together." in text


def test_contacts_before_the_transfer_are_no_evidence_for_it(report_victims) -> None:
    statement = state(report_victims(draw(70, 50), day="2020-02-01"))
    assert "partner-1" not in [id_ for members in statement["set"] for id_ in members]


def test_earlier_cases_show_the_usual_excess(report_victims) -> None:
    data = report_victims(draw(40, 60))
    before = state(data)
    earlier = [n for n in draw(250, 0, seed=2) if n not in draw(40, 60)]
    report_victims(earlier, day="2020-03-15")
    after = state(data, "--since", "2020-04-01")
    assert (before["victims"], before["earlier_cases"]) == (100, None)
    assert (after["victims"], after["earlier_cases"]) == (100, len(earlier))
    assert get_ratio(after) < get_ratio(before) - 0.3


def test_victims_are_counted_in_tens(report_victims) -> None:
    data = report_victims(draw(45, 0))
    before = state(data)
    assert before["victims"] == 40
    report_victims([n for n in COURIER if n not in draw(45, 0)][:3])
    assert state(data) == before


def test_labels_that_describe_people_are_no_candidates(report_victims) -> None:
    data = report_victims(draw(70, 50))
    ids = {each["id"] for each in state(data)["candidates"]}
    assert ids == {"partner-1", "supplier-2", "export E0", "export E1", "export E2"}
    statement = state(data, "--strata", "export")
    assert "region north" in {each["id"] for each in statement["candidates"]}
    result = run(data, "source", *WORDS, "--strata", "branch")
    assert "--strata: the list has no labels of branch" in str(result.exception)


def test_each_look_is_audited_with_its_purpose(report_victims) -> None:
    data = report_victims(draw(70, 50))
    run(data, "source", *WORDS)
    (entry,) = [e for _, e in read_entries(data / "audit") if e.action == "source.state"]
    assert (entry.tenant, entry.reason) == ("bank", "find the leak")
    assert entry.object.startswith("source from 120 victims: ")
    result = run(data, "source", "--tenant", "bank", "--purpose", " ")
    assert "--purpose must not be empty" in str(result.exception)


def test_erased_customer_is_no_victim_and_no_control(report_victims) -> None:
    data = report_victims(draw(25, 0))
    assert state(data)["victims"] == 20
    for number in draw(25, 0)[:6]:
        words = ("--tenant", "bank", "--subject", "-", "--case", "K", "--reason", "asked")
        result = CliRunner().invoke(app, command(data, "erase", *words), REFERENCES[number])
        assert result.exit_code == 0, result.output
    assert state(data)["victims"] is None


@pytest.mark.parametrize(("power", "text"), [(0.0, "1"), (8.0, "10^8.0"), (-7.0, "10^-7.0")])
def test_ratio_is_written_for_people(power, text) -> None:
    assert format_ratio(power * 2.302585093) == text
