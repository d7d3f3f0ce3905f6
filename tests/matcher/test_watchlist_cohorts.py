"""Cohorts and bait: labels go with customers through load, update, erase and rotate, and come
out as counts.
"""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Texts
from matcher.match.findings import find_all
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.cohorts import Coder, CohortTable, counts_of, tally
from matcher.watchlist.file import body_bytes, sections
from matcher.watchlist.index import Watchlist
from matcher.watchlist.source import ColumnBatch, Source, SourceColumn
from matcher.watchlist.tagging import TagKeys
from tests.factories import capture
from tests.matcher.bank import customer, matcher_of
from ullage.errors import ConfigError, CorruptError
from ullage.security.keys import load_verify_key, make_tenant
from ullage.settings import Context

HEADER = (
    "customer_ref",
    "name",
    "phone",
    "resident_id",
    "email",
    "cohort_product",
    "cohort_branch",
    "cohort_export",
    "canary",
)
BAIT = {97: "sms A", 98: "短信通道乙"}
MANY = [
    customer(n, cohort_product=("loan", "card")[n % 3 == 0],
    cohort_branch=f"B{n % 2}" if n < 90 else "rare",
             cohort_export="E1" if n < 40 else "", canary=BAIT.get(n, ""))
    for n in range(100)
]  # fmt: skip


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def put(
    folder: Path,
    rows: list[dict[str, str]],
    name: str = "list.csv",
    header: tuple[str, ...] = HEADER,
) -> Path:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


@pytest.fixture
def bank_with_list(load_list: Callable[..., Context], tmp_path: Path) -> Context:
    return load_list(put(tmp_path, MANY), "--digests", "none")


def finding_of(context: Context, numbers: range | list[int]):
    text = "\n".join(f"{p['name']},{p['phone']}" for p in map(customer, numbers))
    [finding] = find_all(matcher_of(context), [capture(body=text.encode())], context.clock.now())
    return finding


def count_labels(context: Context, numbers: range | list[int]) -> dict[str, int]:
    """Return the number of matched customers per label, honeytokens included."""
    finding = finding_of(context, numbers)
    cohorts = {f"{c.dimension}={c.label}": c.matched for c in finding.cohorts}
    return cohorts | {f"canary={c.label}": c.customers for c in finding.honeytokens}


def test_finding_counts_cohorts_of_its_customers_and_of_the_list(
    bank_with_list: Context,
) -> None:
    finding = finding_of(bank_with_list, range(60))
    counted = {f"{c.dimension}={c.label}": (c.matched, c.enrolled) for c in finding.cohorts}
    assert counted == {"product=loan": (40, 66), "product=card": (20, 34), "branch=B0": (30, 45),
        "branch=B1": (30, 45),
                       "export=E1": (40, 40)}  # fmt: skip
    assert (finding.cohort_labels, finding.honeytokens_enrolled, finding.honeytokens) == (5, 2, ())
    assert (finding.total_subjects, finding.verified) == (60, 60)


def test_cohorts_need_twenty_customers_but_honeytokens_do_not(
    bank_with_list: Context,
) -> None:
    assert count_labels(bank_with_list, [*range(19), 97]) == {"canary=sms A": 1}
    assert count_labels(bank_with_list, [*range(19)]) == {}
    [bait] = finding_of(bank_with_list, [98]).honeytokens
    assert (bait.label, bait.customers, bait.verified) == ("短信通道乙", 1, 1)


def test_rare_label_is_not_written_to_a_file(bank_with_list: Context) -> None:
    body = installation.path_of(bank_with_list.data, "bank", 1).read_bytes()
    assert b"loan" in body
    assert b"rare" not in body


def test_cohort_columns_are_named_or_mapped(ullage, context: Context, tmp_path: Path) -> None:
    header = ("customer_ref", "phone", "name", "Filiale", "Köder", "note")
    rows = [
        {**customer(n), "Filiale": "Nord", "Köder": "x" if n == 1 else "", "note": "?"}
        for n in range(20)
    ]
    trimmed = [{key: row[key] for key in header} for row in rows]
    source = put(tmp_path, trimmed, header=header)
    result = ullage(
        "watchlist",
        "load",
        source,
        "--tenant",
        "bank",
        "--map",
        "Filiale=cohort:branch",
        "--map",
        "Köder=canary",
    )
    assert result.exit_code == 0, result.output
    assert count_labels(context, range(20)) == {"branch=Nord": 20, "canary=x": 1}
    assert "labels: 1 of branch, 1 of canary" in ullage("watchlist", "show").stdout
    refused = ullage("watchlist", "load", source, "--tenant", "bank", "--map", "Filiale=cohort:")
    assert "cohort:NAME, canary or -" in str(refused.exception)


@pytest.mark.parametrize(
    ("column", "label"),
    [("cohort_branch", "15400000001"), ("cohort_branch", "154-0000-0001"),
    ("cohort_export", "a@example.com"),
     ("canary", customer(1)["name"]), ("cohort_product", "x" * 41),
     ("canary", "110101 1899 0101 0010")],
)  # fmt: skip
def test_label_that_may_be_a_value_is_rejected_without_showing_it(
    ullage, context: Context, tmp_path: Path, column: str, label: str
) -> None:
    result = ullage(
        "watchlist",
        "load",
        put(tmp_path, [customer(0), customer(1, **{column: label})]),
        "--tenant",
        "bank",
    )
    assert result.exit_code != 0
    assert f"line 3, column {column}: may be a customer's value" in str(result.exception)
    assert label not in str(result.exception)


def test_daily_changes_add_labels_and_keep_earlier_ones(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    moved = customer(0, cohort_product="card", cohort_export="E1")
    added = put(tmp_path, [customer(200, cohort_product="loan", canary="new"), moved], "a.csv")
    assert ullage("watchlist", "update", added, "--tenant", "bank").exit_code == 0
    later = put(tmp_path, [customer(201, cohort_product="brand-new")], "b.csv")
    assert ullage("watchlist", "update", later, "--tenant", "bank").exit_code == 0
    counted = count_labels(bank_with_list, [*range(59), 200, 201])
    assert counted == {
        "product=loan": 40,
        "product=card": 20,
        "branch=B0": 29,
        "branch=B1": 29,
        "export=E1": 40,
        "canary=new": 1,
    }
    delta = (
        installation.path_of(bank_with_list.data, "bank", 1)
        .with_suffix(installation.DELTA)
        .read_bytes()
    )
    assert b"brand-new" not in delta
    gone = put(tmp_path, [{"customer_ref": "C000200"}], "c.csv")
    assert ullage("watchlist", "update", "--remove", gone, "--tenant", "bank").exit_code == 0
    assert "canary=new" not in count_labels(bank_with_list, [*range(20), 200])


def test_new_key_generation_has_the_labels_of_its_list(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    ullage("watchlist", "rotate-key", "--tenant", "bank")
    ullage(
        "watchlist",
        "load",
        put(tmp_path, MANY[:50]),
        "--tenant",
        "bank",
        "--digests",
        "none",
        "--shrink",
    )
    ullage("watchlist", "rotate-key", "--tenant", "bank", "--retire")
    assert count_labels(bank_with_list, range(50))["export=E1"] == 40
    assert finding_of(bank_with_list, range(50)).epoch == 2


def test_erased_customer_loses_their_labels(ullage, bank_with_list: Context) -> None:
    epoch = installation.load(bank_with_list)[0].epochs[0].list
    [row] = [n for n in range(100) if epoch.labels(np.array([n])).get(("canary", "sms A"))]
    assert (
        ullage(
            "erase",
            "--case",
            "C-1",
            "--reason",
            "asked",
            "--tenant",
            "bank",
            "--subject",
            epoch.handle(row),
        ).exit_code
        == 0
    )
    after = installation.load(bank_with_list)[0].epochs[0].list
    assert after.labels(np.array([row])) == {}
    assert sum(bool(after.labels(np.array([n]))) for n in range(100)) == 99
    after.check()


def test_labels_take_two_bytes_for_each_customer(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    labelled = installation.load(bank_with_list)[0].epochs[0].list.header
    bare = [{name: row[name] for name in HEADER[:5]} for row in MANY]
    ullage(
        "watchlist",
        "load",
        put(tmp_path, bare, "plain.csv", HEADER[:5]),
        "--tenant",
        "bank",
        "--digests",
        "none",
    )
    plain = installation.load(bank_with_list)[0].epochs[0].list.header
    table = labelled.combinations * 2 * len(labelled.dimensions) + labelled.label_bytes
    assert 0 < body_bytes(labelled) - body_bytes(plain) - table <= 2 * labelled.subjects + 3 * 8
    assert 2 * labelled.subjects <= 2 * labelled.entries


def test_customer_on_several_rows_has_the_last_label(
    ullage, context: Context, tmp_path: Path
) -> None:
    rows = [customer(1, canary="first"), customer(1, canary="second"), customer(1)]
    ullage("watchlist", "load", put(tmp_path, rows), "--tenant", "bank")
    assert count_labels(context, [1]) == {"canary=second": 1}


def test_damaged_table_is_rejected() -> None:
    good = (("a", 30),)
    for text, combination in (
        (b"[", [[1]]),
        (b"[[[1]]]", [[1]]),
        (b"[]", [[0]]),
        (CohortTable(("d",), (good,)).encode(), [[2]]),
    ):
        with pytest.raises(CorruptError):
            CohortTable.read(("d",), text, np.array(combination, np.uint16))


def batch(*rows: tuple[str, str]) -> ColumnBatch:
    """Rows with a label of either dimension."""
    columns = [
        SourceColumn(name, name, Texts.pack([row[i].encode() for row in rows]))
        for i, name in enumerate(("one", "other"))
    ]
    lines = range(2, len(rows) + 2)
    return ColumnBatch(Path("list.csv"), lines, Texts.pack([b"r"] * len(rows)), [], columns)


LABELS = st.sampled_from(["", "a", "b", "c"])


@given(
    st.lists(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30), min_size=1, max_size=4)
)
def test_cohort_counts_agree_with_a_plain_count(
    batches: list[list[tuple[str, str]]],
) -> None:
    coder = Coder()
    codes = np.concatenate([coder.codes(batch(*rows)) for rows in batches])
    table = coder.table(counts_of(codes, len(coder)))
    rows = [row for part in batches for row in part]
    plain = Counter(
        (name, row[i]) for row in rows for i, name in enumerate(("one", "other")) if row[i]
    )
    assert (
        tally([(table, codes)])
        == {label: count for label, count in plain.items() if count >= 20}
        == table.count_customers()
    )
    again = CohortTable.read(table.dimensions, table.encode(), table.combination)
    assert [again.find_labels(int(code)) for code in codes] == [
        {name: row[i] for i, name in enumerate(("one", "other")) if plain[name, row[i]] >= 20}
        for row in rows
    ]


def test_too_many_labels_are_rejected() -> None:
    labels = [(f"L{n}", "") for n in range(4096)]
    with pytest.raises(
        ConfigError, match=r"line 4097, column one: more than 4,095 different labels"
    ):
        Coder().codes(batch(*labels))


def test_many_label_combinations_take_four_bytes(context: Context) -> None:
    """Of 260 by 260 labels every pair is somebody's."""
    source = context.data / "many.csv"
    pairs = [(product, branch) for product in range(260) for branch in range(260)]
    rows = (f"C{n},154{n:08d},a{product},b{branch}" for n, (product, branch) in enumerate(pairs))
    source.write_text(
        "\n".join(("customer_ref,phone,cohort_one,cohort_other", *rows)), encoding="utf-8"
    )
    make_tenant(context.keys, "bank")
    target = context.data / "many.watchlist"
    header = Builder(context.keys, "bank", 1, "none").build(
        Source(source, {}), target, context.clock.now()
    )
    assert (header.combinations, sections(header)["cohort"].dtype.itemsize) == (len(pairs) + 1, 4)
    opened = Watchlist(target, load_verify_key(context.keys, "bank"))
    hits, subjects = opened.look_up(
        TagKeys(context.keys, "bank", "match", 1).tagger("phone", "plain").tag([b"15400000261"])
    )
    assert hits.tolist() == [0]
    assert opened.labels(subjects) == {("one", "a1"): 1, ("other", "b1"): 1}
    assert set(opened.count_labels().values()) == {260}
