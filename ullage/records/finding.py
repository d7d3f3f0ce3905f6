"""Finding: what match publishes, one per (capture, tenant).

It holds tags, handles, labels and counts, and no value.

A finding with more than 2,000 matches goes out as continuation records, `part` of `parts`, all
published before the capture's offset is committed; each carries the same whole-capture facts. Its
id is the keyed digest of what identifies the capture (site, post id, extracted text) and the
tenant, so that a capture seen twice gives the same finding.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import RecordError
from ullage.records.base import STRICT, MaybeMoment, Moment
from ullage.records.counts import CaptureCounts

FINDING_SCHEMA = 1
MAX_MATCHES = 2_000
SKETCH_SIZE = 256
Form = Literal["plain", "md5", "sha1", "sha256", "masked"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,24}$")]
"""A word of a closed list: too short and plain for a sentence, so that text cannot stray into
it.
"""


class _FindingRecord(BaseModel):
    model_config = STRICT


class Match(_FindingRecord):
    """One identifier of one customer in the capture.

    `subject` is the customer's handle, `index_tag` the tag for search (hex). `start` and `end` are
    character offsets in the decoded text of a member of the capture: the `member`-th text that was
    unpacked, 0 for the capture itself, out of a `container` of that kind (a word of a closed list;
    names of members never leave match). `row` is the line, counted from 0. `fields` are the
    closed-list labels of that row, `own_fields` those whose values are this very customer's.
    """

    kind: str
    form: Form = "plain"
    subject: str
    index_tag: str
    member: int = Field(default=0, ge=0)
    container: Word = ""
    start: int
    end: int
    row: int
    fields: tuple[str, ...] = ()
    own_fields: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    confidence: int
    coincidence: float = 0.0
    """Of a masked value: the chance that it fits this customer by accident."""


class Term(_FindingRecord):
    """A lexicon term that counted, by its id, and how often; `written` is the one of its forms that
    stands in the post first.

    That is a word of the lexicon too, and no text of somebody's.
    """

    id: str
    category: str
    weight: int
    count: int
    written: str = ""

    @property
    def shown(self) -> str:
        """The term as a person reads it: what is in the post."""
        return self.written or self.id


class Statistics(CaptureCounts):
    """Facts of the whole capture: what is counted, and what else is known of it."""

    estimated: bool = False
    """`candidates` are estimates: there are more different ones than match counts exactly, 4 M."""
    field_map: dict[str, int] = Field(default_factory=dict)
    """Rows a closed-list field label."""
    skeleton: str = ""
    """The commonest row as labels and separators, such as `<NAME>----<PHONE>----<ID>`."""
    terms: tuple[Term, ...] = ()
    context: dict[str, int] = Field(default_factory=dict)
    """Different words of context a theme: `reporting` (police, court), `shop`, `record`, `sale` and
    others.

    They raise nothing by themselves.
    """
    brands: tuple[str, ...] = ()
    sketch: tuple[str, ...] = ()
    """The 256 lowest keyed tags (8 bytes, hex) of the valid candidates; of text shingles where
    there are fewer than 8.
    """
    sketch_of: Literal["candidates", "shingles"] = "candidates"
    bytes: int = 0


class Cohort(_FindingRecord):
    """How many matched customers have one label of one dimension (product, branch, ...), and how
    many of the whole list.

    Fewer than 20 matched people are not told: they would be known by their label.
    """

    dimension: str
    label: str
    matched: int
    enrolled: int


class Bait(_FindingRecord):
    """Bait that was found: customers that exist only in what one party was given, by that party's
    label.

    `verified` are those who cannot have been matched by chance.
    """

    label: str
    customers: int
    verified: int = 0


class Claims(_FindingRecord):
    """What a post says of itself: facts read from it, never its words.

    `volume` is the largest number of people, rows or records that it claims; `price` is in
    `currency` (ISO 4217, or `USDT`, `BTC`, `XMR`, `ETH`), `contacts` are kinds of contact
    (`telegram`, `qq`, not which), `files` kinds of file, `size` is in bytes.
    """

    volume: int | None = Field(default=None, ge=0)
    price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    currency: Word = ""
    contacts: tuple[Word, ...] = ()
    files: tuple[Word, ...] = ()
    size: int | None = Field(default=None, ge=0)


class CaptureFacts(_FindingRecord):
    """Where the capture came from.

    `site` and `category` are configured names or `other`. Of title, channel and URL only words of
    closed lists stand here, `…` for all else; `author`, `post_id` and `thread` are keyed tokens,
    and a channel's words stand behind its own. `author_tag` is the author's tag under the tenant's
    index key, `channel_tag` and `thread_tag` are those of the channel and the thread at that site.
    `post` is the token of what lasts of the post whatever it says, "" where nothing does; `edited`
    and `deleted` are what the place said of the post.
    """

    id: str
    site: str
    platform: str
    post_id: str
    post: str = ""
    kind: str
    category: str
    url: str
    title: str
    author: str
    author_tag: str = ""
    channel: str
    channel_tag: str = ""
    thread: str
    thread_tag: str = ""
    edited: bool = False
    deleted: bool = False
    claims: Claims = Claims()
    published_at: MaybeMoment
    fetched_at: Moment
    truncated: bool


class Finding(_FindingRecord):
    """See the module.

    `customers` is the size of the tenant's watchlist, for what chance alone would match.
    """

    id: str
    tenant: str
    part: int
    parts: int
    matched_at: Moment
    epoch: int
    index_epoch: int
    customers: int
    withdrawn: bool = False
    """Nothing of this tenant's is in the post, which was taken away or edited: what it had said
    before may be gone. Without matches, statistics and claims.
    """
    alarm: bool = False
    """The post offers data of the tenant's brand, as far as the lexicon tells."""
    incomplete: tuple[Word, ...] = ()
    """Why less than the whole capture was searched or judged, as words of a closed list; ()
    where all of it was.
    """
    key_checks: dict[str, str] = Field(default_factory=dict)
    """Check values of the keys under which its tags were made, by their names in the key folder
    (`security.check_values`).
    """
    served: str = ""
    """Keyed digest of the bytes as served.

    It is the id of the capture's incomplete finding: a whole one replaces it.
    """
    original: str = Field(default="", max_length=200_000)
    """`ullage.custody` of the capture, sealed to the desk's key `original_key`; in the first
    part alone.
    """
    original_key: Word = ""
    total_matches: int
    total_subjects: int
    verified: int = 0
    """Customers whom chance cannot have matched: by two fields of one row, or by more than a
    phone number.
    """
    minors: int = 0
    """Customers under 14 by the resident ID that was found of them (PIPL 28)."""
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    """Labels that the list has, over all dimensions: so many comparisons were made."""
    canaries: tuple[Bait, ...] = ()
    canaries_enrolled: int = 0
    cards_enrolled: int = 0
    witnesses_comparable: int = Field(default=0, ge=0)
    """Customers with a witness, a keyed pair of a loan's amount and date, whose row could be
    compared with it.
    """
    witnesses_agreeing: int = Field(default=0, ge=0)
    """Those of them whose pair stands in the row."""
    capture: CaptureFacts
    statistics: Statistics
    matches: tuple[Match, ...]

    def encode(self) -> bytes:
        """The record's bytes; RecordError `oversize` for more than 2,000 matches."""
        if len(self.matches) > MAX_MATCHES:
            raise RecordError("oversize")
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, data: bytes, schema: int) -> Finding:
        """The finding in `data`; RecordError `schema` or `malformed`."""
        if schema != FINDING_SCHEMA:
            raise RecordError("schema")
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise RecordError("malformed") from None
