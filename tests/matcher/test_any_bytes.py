"""Whatever bytes a post is of, however its windows fall: it is read to its end, and customers in
it are found.
"""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.match import batches, parts
from matcher.match.findings import build_findings
from matcher.match.pipeline import Matcher
from matcher.text.decode import cut_windows
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of
from ullage import setup
from ullage.settings import Context

PEOPLE = [customer(n) for n in range(10)]
VALUES = [person[kind] for person in PEOPLE for kind in ("phone", "resident_id", "email")]
SIGNS = (
    b"\n \r\n \r \0 , | ---- \t ; : = ( ) ' \" { } < > & % \\ @ \x0b \x0c \x1c \xff \xfe \xe4"
    b" \x81\x30".split(b" ")
)
WORDS = (
    "手机 姓名 身份证 料 phone QQ <td> </tr> <!-- --> &#49; %31 \\u0031 INSERT INTO VALUES"
    " QUJDREVGR0hJSktMTU5PUFFS".split()
)
PIECE = (
    st.sampled_from(
        [*SIGNS, *(word.encode() for word in WORDS), *(word.encode("gbk") for word in WORDS)]
    )
    | st.sampled_from([f"{sign}{value}{sign}".encode() for value in VALUES for sign in ",\n"])
    | st.binary(max_size=40)
)
BODY = st.lists(PIECE, max_size=60).map(b"".join) | st.binary(max_size=600)
NO_ROW = b"\n".join(
    [f"{PEOPLE[0]['phone']},{n},x".encode() for n in range(40)] + [b"a word and no number\n"] * 60
)
"""Its first windows hold rows, the last none."""


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    context = Context(tmp_path_factory.mktemp("any") / "data", HeldClock().as_clock())
    list(setup.initialise(context))
    enrol(context, "bank", PEOPLE)
    return matcher_of(context)


@pytest.fixture(params=[256, 1024], scope="module")
def short_windows(request: pytest.FixtureRequest) -> Iterator[int]:
    """Windows and batches so short that a small text has many."""
    with pytest.MonkeyPatch.context() as patch:
        decode = sys.modules[cut_windows.__module__]
        for module in (parts, decode):
            patch.setattr(module, "WINDOW", request.param)
        patch.setattr(decode, "SEARCHED", request.param // 8)
        patch.setattr(batches, "BATCH", request.param // 4)
        yield request.param


@given(st.lists(BODY, min_size=1, max_size=3), st.sampled_from(["text/plain", "text/html"]))
@example([NO_ROW], "text/plain")
def test_arbitrary_bytes_do_not_stop_matching(
    matcher: Matcher, short_windows: int, bodies: list[bytes], media_type: str
) -> None:
    value = PEOPLE[9]["phone"].encode()
    posts = [
        capture(
            id=f"{n}",
            post_id=f"{n}",
            media_type=media_type,
            body=b"post\n" + body + b"\n" * short_windows + value,
        )
        for n, body in enumerate(bodies)
    ]
    findings_by_post = [
        list(build_findings(matcher, reading, posts[0].fetched_at))
        for reading in matcher.read(posts)
    ]
    assert len(findings_by_post) == len(posts)
    for post, post_findings in zip(posts, findings_by_post, strict=True):
        assert (
            post_findings or b"\0" in post.body
        )  # with which it may be UTF-16, where the value is none
