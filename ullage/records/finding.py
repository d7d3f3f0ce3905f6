"""Finding: what match publishes about one capture and one tenant.

It holds tags, pseudonyms, labels and counts, but no value.

A finding with more than 2,000 matches is split into continuation records, `part` of `parts`, all
published before the capture's offset is committed; each carries the same facts about the whole
capture. The id is a keyed digest of what identifies the capture (site, post id, extracted text)
and of the tenant, so the same capture always gives the same finding.
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
"""A word of a closed list; too short and plain for a sentence, so that no text strays into it."""


class _FindingRecord(BaseModel):
    model_config = STRICT


class Match(_FindingRecord):
    """One identifier of one customer in the capture.

    `subject` is the customer's pseudonym, `index_tag` the tag for search (hex). `start` and `end`
    are character offsets in the decoded text of the `member`-th text that was unpacked, 0 for the
    capture itself, from a `container` of that kind (a word of a closed list; names of members never
    leave match). `row` is the line, counted from 0. `fields` are the closed-list labels of that
    row, `own_fields` those whose values belong to this very customer.
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
    """Probability that a masked value fits this customer by chance."""


class Term(_FindingRecord):
    """A lexicon term in the capture: its id and how often it occurs.

    `written` is the form that appears first in the post. It is a word of the lexicon too, never
    free text.
    """

    id: str
    category: str
    weight: int
    count: int
    written: str = ""

    @property
    def shown(self) -> str:
        """The form that appears in the post, or the id."""
        return self.written or self.id


class Statistics(CaptureCounts):
    """Counts and other facts about the whole capture."""

    estimated: bool = False
    """`candidates` are estimates: there are more distinct ones than match counts exactly (4 M)."""
    field_map: dict[str, int] = Field(default_factory=dict)
    """Rows by closed-list field label."""
    skeleton: str = ""
    """The commonest row as labels and separators, such as `<NAME>----<PHONE>----<ID>`."""
    terms: tuple[Term, ...] = ()
    context: dict[str, int] = Field(default_factory=dict)
    """Distinct context words by theme: `reporting` (police, court), `shop`, `record`, `sale` and so
    on.

    They raise no score alone.
    """
    brands: tuple[str, ...] = ()
    sketch: tuple[str, ...] = ()
    """The 256 lowest keyed tags (8 bytes, hex) of the valid candidates.

    Of text shingles if there are fewer than 8 candidates.
    """
    sketch_of: Literal["candidates", "shingles"] = "candidates"
    bytes: int = 0


class Cohort(_FindingRecord):
    """How many matched customers have one label of one dimension (product, branch, ...).

    `enrolled` counts the whole list. Fewer than 20 matched people are not reported, since the
    label could identify them.
    """

    dimension: str
    label: str
    matched: int
    enrolled: int


class Honeytoken(_FindingRecord):
    """Matched honeytokens: customers that exist only in the data given to one party, `label`.

    `verified` are those that chance cannot have matched.
    """

    label: str
    customers: int
    verified: int = 0


class Claims(_FindingRecord):
    """What a post claims about itself: facts read from it, never its words.

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

    `site` and `category` are configured names or `other`. Title, channel and URL keep only words of
    closed lists, with `…` for all else; `author`, `post_id` and `thread` are keyed tokens, and a
    channel's token is followed by its words. `author_tag` is the author's tag under the tenant's
    index key, `channel_tag` and `thread_tag` are those of the channel and the thread at that site.
    `post` is the token of the post's stable identity, "" if it has none; `edited` and `deleted` are
    what the site reports about the post.
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

    `customers` is the size of the tenant's customer list, to compute the matches expected by
    chance.
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
    """The post was deleted or edited, and now contains nothing of this tenant.

    Earlier content may be gone. The finding has no matches, statistics or claims.
    """
    alarm: bool = False
    """The post offers data of the tenant's brand, according to the lexicon."""
    incomplete: tuple[Word, ...] = ()
    """Why only part of the capture was searched or judged, as words of a closed list; () if all
    was.
    """
    key_checks: dict[str, str] = Field(default_factory=dict)
    """Check values of the keys of its tags, by key name (`security.check_values`)."""
    served: str = ""
    """Keyed digest of the bytes as served.

    It is the id of the capture's incomplete finding, which a complete one replaces.
    """
    original: str = Field(default="", max_length=200_000)
    """The original (`ullage.custody`), sealed to the console's key `original_key`; only in the
    first part.
    """
    original_key: Word = ""
    total_matches: int
    total_subjects: int
    verified: int = 0
    """Customers that chance cannot have matched: two fields of one row, or more than a phone
    number.
    """
    minors: int = 0
    """Customers under 14, by the resident ID in the post (PIPL 28)."""
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    """Labels of the list over all dimensions: the number of comparisons made."""
    honeytokens: tuple[Honeytoken, ...] = ()
    honeytokens_enrolled: int = 0
    cards_enrolled: int = 0
    private_attributes_comparable: int = Field(default=0, ge=0)
    """Customers with private attributes (keyed loan amount and date) whose row can be compared."""
    private_attributes_agreeing: int = Field(default=0, ge=0)
    """Comparable customers whose private attributes are in the row."""
    capture: CaptureFacts
    statistics: Statistics
    matches: tuple[Match, ...]

    def encode(self) -> bytes:
        """Return the serialised record; raises RecordError `oversize` beyond 2,000 matches."""
        if len(self.matches) > MAX_MATCHES:
            raise RecordError("oversize")
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, data: bytes, schema: int) -> Finding:
        """Return the finding in `data`.

        Raises RecordError: `schema` if `schema` is not the current one, `malformed` if it is
        invalid.
        """
        if schema != FINDING_SCHEMA:
            raise RecordError("schema")
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise RecordError("malformed") from None
