"""What is gathered of one capture while its parts go by."""

from __future__ import annotations

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from matcher.batches import Searched
from matcher.evidence import NONE, Evidence
from matcher.lexicon import Terms
from matcher.statistics import CaptureKey, Part, Tally
from matcher.statistics.key import Words
from matcher.text import Folded
from matcher.unpack.outcome import Outcome
from ullage.records import Capture, Match, Statistics


@dataclass
class Found:
    """What one epoch of one tenant's list gave; `groups` counts rows with a customer by fields and whether corroborated."""

    epoch: int
    matches: list[Match] = field(default_factory=list)
    count: int = 0
    subjects: set[int] = field(default_factory=set)
    values: set[tuple[str, bytes]] = field(default_factory=set)
    """Different values, as kind and keyed tag."""
    groups: Counter[tuple[frozenset[str], bool]] = field(default_factory=Counter)

    def add(self, searched: Searched, found: Sequence[Evidence], values: Sequence[bytes]) -> None:
        """Count evidence of one part; `values` tell different values apart."""
        self.count += len(found)
        self.subjects.update(one.subject for one in found)
        together: dict[int, bool] = defaultdict(bool)
        for one, value in zip(found, values, strict=True):
            self.values.add((one.question.kind, value))
            if one.row != NONE:
                together[one.row] |= len(one.own) >= 2
        for row, is_together in together.items():
            self.groups[searched.rows.group(row), is_together] += 1

    @property
    def kinds(self) -> Counter[str]:
        """How many different values there are, a kind."""
        return Counter(kind for kind, _ in self.values)

    @property
    def rows(self) -> int:
        """Rows that hold a customer."""
        return sum(self.groups.values())

    @property
    def corroborated(self) -> int:
        """Rows in which two or more fields are the same customer's."""
        return sum(count for (_, is_together), count in self.groups.items() if is_together)

    def matched(self) -> Iterator[tuple[frozenset[str], bool]]:
        """For each row with a customer, the fields of its group and whether it is corroborated."""
        for (fields, is_together), count in self.groups.items():
            yield from [(fields, is_together)] * count


class Reading:
    """One capture: what was found in its parts so far. In memory only."""

    def __init__(self, capture: Capture, key: CaptureKey) -> None:
        self.capture = capture
        self.title_terms, self.valid, self.is_new = Terms(), 0, True
        self.found: dict[tuple[str, int], Found] = {}
        self.offered: set[str] = set()
        """Tenants whose data a part offers."""
        self.logins: dict[str, set[int]] = defaultdict(set)
        """Keys of different logins at a tenant's own domains."""
        self.own_cards: dict[str, list[Words]] = defaultdict(list)
        self.unread: Counter[str] = Counter()
        self._key = key
        self._tally = Tally(key, capture.fetched_at.date())
        self._identity: hmac.HMAC | None = None
        self._utf8, self._terms = b"", Terms()

    def told(self, outcome: Outcome) -> None:
        """Something in the capture was not read."""
        self.unread[outcome.reason] += 1

    def go_on(self, text: Folded, terms: Terms, *, streamed: bool) -> None:
        """The folded text of the next part; a single one is kept until somebody asks for the capture's identity."""
        self.is_new = False
        self._terms = terms.under(self._terms)
        if streamed:
            self._hashed().update(text.utf8)
        else:
            self._utf8 = text.utf8

    def tally(self, part: Part, number: int) -> None:
        """Count the next part into the statistics."""
        self._tally.add(part, number)

    @property
    def terms(self) -> Terms:
        """What the lexicon says of title and text."""
        return self._terms.under(self.title_terms)

    def best(self, tenant: str) -> Found | None:
        """Of a tenant's epochs the one that found most, the newer of two."""
        mine = [found for (name, _), found in self.found.items() if name == tenant and found.count]
        return max(mine, key=lambda found: (found.count, found.epoch), default=None)

    def concerns(self, tenant: str) -> bool:
        """Whether there is something to report to a tenant."""
        return tenant in self.offered or bool(self.logins.get(tenant)) or self.best(tenant) is not None

    def identity(self) -> str:
        """Keyed digest of what makes two captures the same: site, the platform's own id, extracted text."""
        hashed = self._hashed().copy()
        hashed.update(self._utf8)
        return hashed.digest()[:16].hex()

    def _hashed(self) -> hmac.HMAC:
        if self._identity is None:
            self._identity = self._key.identifying(self.capture.site, self.capture.post_id)
        return self._identity

    def statistics(self) -> Statistics:
        """Whole-capture statistics, the same for every tenant."""
        made = self._tally.finish(self.terms.terms)
        return made.model_copy(update={"unread": dict(sorted(self.unread.items())), "context": self.terms.context})

    def distinct_own_cards(self, tenant: str) -> int:
        """Different valid cards of the tenant's ranges that are not enrolled."""
        return len(np.unique(np.concatenate(self.own_cards[tenant]))) if self.own_cards[tenant] else 0
