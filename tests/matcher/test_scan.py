"""The vectorised search: equal to the plain one on any composition, never inside something
longer, one winner a place.
"""

import hashlib
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher import reference
from matcher.columns.batch import Batch
from matcher.detect import search as rare
from matcher.detect.candidates import Candidates
from matcher.detect.marked_values import list_labelled_kinds
from matcher.detect.number_rules import USUAL
from matcher.detect.search import APART, NOTHING_SEEN, search
from matcher.lexicon import Lexicon
from matcher.text import fold, unescape
from tests.matcher.bank import resident_id
from tests.matcher.test_fold import SCRIPTS, write_in_script
from ullage.identifiers import Kind, kinds
from ullage.identifiers.card import issuer, luhn
from ullage.vocabulary.fields import FieldLabel

PHONE, ID, CARD = "13800138000", "11010519491231002X", "6200000000000005"
PRESCAN = Lexicon({}).prescan
EITHER = "440524188001010014"
PREFIXES = ["", "+86", "+86 ", "+86-", "0086", "0086-", "86", "86 ", "(86)", "(+86) ", "0"]
GROUPS = [
    "{0}{1}{2}",
    "{0}-{1}-{2}",
    "{0} {1} {2}",
    "{0}.{1}.{2}",
    "{0}-{1}{2}",
    "{0}{1}-{2}",
    "{0} {1}{2}",
]
AROUND = ["", " ", ",", "|", "----", "\t", "手机", ":", '"', "'", "(", "<", "=", ";", "。", "\n"]
PIECES = [
    *("110105.19491231.002.X", "440524 18800101 001 4", "6200.0000.0000.0005"),
    *(PHONE, ID, CARD, EITHER, "138-0013-8000", "138 0013 8000", "138.0013.8000", "1380013-8000",
    "138 00138000"),
    *("6205500000000000004", "6200 0000 0000 0005", "6205-5000-0000-0000-004", "620000 0000000005",
    "3782 822463 10005"),
    *(
        "110105 19491231 002X", "110105-18491231-0021", "110105.19491231.002.X",
        "440524 18800101 001 4",
        "6200.0000.0000.0005", "110105491231002", "4111111111111111", "378282246310005",
    ),
    *("7945bd83237335e5376ff44d62e4f0ae", "237335e5376ff44d",
    "FFE1CF3289B18E5AEDF4F62E2C1CE2242BBDB0C2", "91110000600037341L"),
    *(
        "a@example.com", "x+y@mail.example.cn", "12345678@qq.com", "test@例子.中国",
        "x@mail.xn--fsqu00a.com", "@", "b-c.d",
        "qq.com",
    ),
    *("TEL", "qq", "ICBC", "SFZH", "KH", "phone"),
    *("GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "+14155552671", "001 415 555 2671",
    "+852 6123 4567"),
    *(
        "86", "+86", "0086", "0", "00", "1", "62", "139", "1234", "5678", "a", "x", "X", "张", "-",
        "--", "----", " ", "  ",
        ".", ",", "|",
    ),
]  # fmt: skip
"""DigitRuns numbers, halves of them, and what may glue or part them."""


def find_in_columns(text: str) -> list[tuple[str, str]]:
    return [(kind, normal) for kind, _, normal, valid in columns(fold(text).text) if valid]


def columns(*texts: str) -> list[tuple[str, str, str, bool]]:
    """(kind, form, normal, valid) of all that is not weak, by place; of what needs a label QQ
    numbers alone.
    """
    batch = Batch.join([text.encode() for text in texts])
    number, end = PRESCAN.find(batch.data).labelled
    kind_names = [kind.name for kind in list_labelled_kinds()]
    is_qq = np.isin(number, [at + kind_names.index("qq") for at in (0, len(kind_names))])
    prescan = NOTHING_SEEN._replace(labelled=(number[is_qq], end[is_qq]))
    rows = [
        (start, s.kind, s.form, normal[:length].tobytes().decode(), bool(valid))
        for s in search(batch, prescan).segments
        for start, normal, length, valid in zip(
            s.start.tolist(), s.normal, s.length.tolist(), s.valid, strict=True
        )
    ]
    return [row[1:] for row in sorted(rows)]


def find_by_plain_search(text: str) -> list[tuple[str, str, str, bool]]:
    """Return what the plain search finds.

    It leaves out what needs a label, and a USCC of digits alone that is most likely something else.
    """
    matches = (
        c for c in reference.find(text) if not c.weak and c.kind not in ("passport", "wechat")
    )
    return [
        (c.kind, c.form, c.normal, c.valid)
        for c in matches
        if c.kind != "uscc" or not c.normal.isdigit() or is_usual(c)
    ]


def is_usual(code: reference.ReferenceMatch) -> bool:
    """Return whether a code of digits alone counts as a USCC.

    Its check must hold, and it must begin the way most do.
    """
    return code.valid and code.normal[0] in USUAL.decode()


@example(["440524 18800101 001 4", "-", "138-0013-8000"])
@example(["440524 18800101 001 4", "qq.com"])
@example(["001 415 555 2671", "TEL"])
@example(["TEL", "+14155552671"])
@example(["440524 18800101 001 4", ".", "001 415 555 2671"])
@example(["1380013-8000", "-", "001 415 555 2671"])
@example(["1234", " ", "6200 0000 0000 0005"])
@example(["13800138000", "440524188001010014", "KH"])
@example(["qq", "110105-18491231-0021"])
@example(["a@example.com", "x@mail.xn--fsqu00a.com", "test@例子.中国"])
@example(["001 415 555 2671", ".", "6200.0000.0000.0005"])
@given(st.lists(st.sampled_from(PIECES), max_size=7))
def test_column_search_finds_all_that_the_reference_search_finds(pieces: list[str]) -> None:
    text = "\n".join("".join(pieces[i : i + 3]) for i in range(0, len(pieces), 3))
    fast, plain = columns(text), find_by_plain_search(text)
    missed = [c for c in plain if c not in fast and c[3]]
    assert not missed
    more = {kind for kind, _, _, valid in (c for c in fast if c not in plain) if valid}
    assert more <= {"email", "qq"}  # an address glued to an address, the number behind two hyphens


EXAMPLES = [
    (kind.name, text, normal) for kind in kinds().values() for text, normal in kind.examples
]


@pytest.mark.parametrize(("kind", "text", "normal"), EXAMPLES)
def test_examples_of_every_kind_are_found(kind: str, text: str, normal: str) -> None:
    batch = Batch.join([fold(unescape(text, markup=False)).utf8])
    result = search(batch, PRESCAN.find(batch.data))
    segments = [s for s in result.segments if s.kind == kind]
    assert normal in {
        bytes(row).rstrip(b"\0").decode() for s in segments for row in s.normal[s.valid]
    }


def test_texts_of_a_batch_are_independent() -> None:
    texts = [PHONE, "0", CARD[:8], CARD[8:], "", "138-0013", "-8000", ID, "a@example", ".com"]
    assert columns(*texts) == [c for text in texts for c in columns(text)]


@given(
    st.sampled_from(PREFIXES), st.sampled_from(GROUPS), st.sampled_from(sorted(SCRIPTS)),
    st.sampled_from(AROUND),
    st.sampled_from(AROUND),
)  # fmt: skip
def test_phone_is_found_in_any_notation(
    prefix: str, groups: str, script: str, before: str, after: str
) -> None:
    number = groups.format(*(write_in_script(part, script) for part in ("138", "0013", "8000")))
    assert find_in_columns(f"{before}{prefix}{number}{after}") == [("phone", PHONE)]


@given(st.text("0123456789", min_size=20, max_size=60))
def test_nothing_is_found_inside_a_longer_run_of_digits(digits: str) -> None:
    assert find_in_columns(digits) == []


@pytest.mark.parametrize("inside", ["1{}", "{}1", "a{}", "{}z", "9.{}"])
def test_number_attached_to_a_letter_or_digit_is_ignored(inside: str) -> None:
    assert find_in_columns(inside.format(PHONE)) == []


def test_resident_id_that_passes_luhn_is_not_a_card() -> None:
    passing = next(i for i in map(resident_id, range(3000)) if i.isdigit() and luhn(i))
    twin = next(
        f"62{n:015d}{d}"
        for n in range(100_000)
        for d in range(10)
        if luhn(f"62{n:015d}{d}") and issuer(f"62{n:015d}{d}")
    )
    assert find_in_columns(passing) == [("resident_id", passing)]
    assert find_in_columns(twin) == [("card", twin)]


def test_valid_candidate_beats_an_invalid_stronger_kind() -> None:
    numbers = (f"620105189901010{i:03d}" for i in range(1000))
    number = next(
        n
        for n in numbers
        if luhn(n)
        and issuer(n)
        and ("resident_id", "plain", n, True) not in find_by_plain_search(n)
    )
    assert find_in_columns(number) == [("card", number)]


@pytest.mark.parametrize(
    "row", [f"{PHONE},{ID},{CARD}", f"{CARD}|{PHONE}|{ID}", f"{ID}----{CARD}----{PHONE}"]
)
def test_adjacent_values_are_all_found(row: str) -> None:
    assert sorted(find_in_columns(row)) == [("card", CARD), ("phone", PHONE), ("resident_id", ID)]


def test_phone_before_an_at_sign_is_a_phone_and_an_address() -> None:
    assert sorted(find_in_columns(f"{PHONE}@qq.com")) == [
        ("email", f"{PHONE}@qq.com"),
        ("phone", PHONE),
    ]


def test_failing_candidates_are_returned_as_invalid() -> None:
    assert [(kind, valid) for kind, _, _,
        valid in columns("110105194912310021,6200000000000006")] == [
        ("resident_id", False), ("card", False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "part"),
    [("md5", slice(None)), ("md5", slice(8, 24)), ("sha1", slice(None)), ("sha256", slice(None))],
)
@pytest.mark.parametrize("upper", [False, True])
def test_digests_are_found_in_either_case(form: str, part: slice, upper: bool) -> None:
    digest = hashlib.new(form, PHONE.encode()).hexdigest()[part]
    shown = digest.upper() if upper else digest
    assert columns(f"张某,{shown},x") == [("digest", form, digest, True)]


@given(
    st.text("0123456789abcdef", min_size=15, max_size=70).filter(
        lambda s: len(s) not in (16, 32, 40, 64) and not s.isdigit()
    )
)
def test_hex_of_other_length_is_not_a_digest(text: str) -> None:
    assert [c for c in columns(text) if c[0] == "digest"] == []


@given(
    st.lists(
        st.sampled_from([PHONE, ID, CARD, EITHER, "a@example.com", "-", " ", "9", "x", "\n", "62"]),
        max_size=30,
    )
)
def test_candidates_are_sorted_and_do_not_overlap(parts: list[str]) -> None:
    batch = Batch.join(["".join(parts).encode()])
    table = Candidates.merge(search(batch, PRESCAN.find(batch.data)).segments)
    assert (table.start[1:] >= table.start[:-1]).all()
    single = [i for i, kind in enumerate(table.kind.tolist()) if table.names[kind] not in APART]
    assert all(table.end[a] <= table.start[b] for a, b in pairwise(single))


def test_kind_added_as_a_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plate = Kind(
        name="plate", field=FieldLabel.OTHER, noun="a plate", noun_zh="车牌", rank=10,
        normalise=str, check=lambda n: n !=
        "ZZ-999", pattern=re.compile(r"(?<![0-9A-Z])[A-Z]{2}-\d{3}(?!\d)"),
    )  # fmt: skip
    monkeypatch.setattr(rare, "kinds", lambda: {**kinds(), "plate": plate})
    assert columns("张某 AB-123，ZZ-999", "x", "CD-456") == [
        ("plate", "plain", "AB-123", True), ("plate", "plain", "ZZ-999", False),
        ("plate", "plain", "CD-456", True)
    ]  # fmt: skip
