"""However containers are put into one another, what was planted comes out, under the path it was
planted at.
"""

import bz2
import gzip
import lzma
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import out_of


def mail_of(name: str, body: bytes) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.com", "b@example.com"
    message.set_content("text")
    message.add_attachment(body, "application", "octet-stream", filename=name)
    return message.as_bytes()


WRAPS = {
    "zip": lambda name, body: builders.zip_of({name: body, "other": b"x"}),
    "tar": lambda name, body: builders.tar_of({"other": b"x", name: body}),
    "tgz": lambda name, body: builders.tar_of({name: body}, "w:gz"),
    "eml": mail_of,
    "xlsx": lambda name, body: builders.xlsx_of({"S": ""}, more={f"xl/embeddings/{name}": body}),
    "gz": lambda _, body: gzip.compress(body),
    "bz2": lambda _, body: bz2.compress(body),
    "xz": lambda _, body: lzma.compress(body),
}
STREAMS = ("gz", "bz2", "xz")


@given(
    st.lists(st.sampled_from(sorted(WRAPS)), min_size=1, max_size=5),
    st.text("0123456789张,\n", min_size=1, max_size=50),
)
@settings(max_examples=20, deadline=None)
def test_planted_text_survives_any_nesting(wraps: list[str], text: str) -> None:
    name, body, path = "planted.csv", text.encode(), ""
    for wrap in wraps:
        body = WRAPS[wrap](name, body)
        if not (wrap in STREAMS and name == "a.tar"):  # a tar in a stream stands in its place
            path = f"!/{'xl/embeddings/' if wrap == 'xlsx' else ''}{name}{path}"
        name = f"{name}.{wrap}" if wrap in STREAMS else f"a.{wrap}"
        if wrap == "tgz":
            name = "a.tar.gz"
    unpacked = out_of(body, name)
    assert unpacked.members[path] == text.encode()
    assert unpacked.outcomes == []
