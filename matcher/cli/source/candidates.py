"""The candidate sources of a tenant: its transfers, and the cohort labels of its customer list.

Dimensions of labels that describe people (region, age, product, tenure) are *strata*: within them,
victims are compared with the other customers. Labels of all other dimensions (branch, export,
access list) are candidate sources, beside the recipients of transfers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Candidate, Kind, Memberships
from matcher.watchlist.cohorts import PlacedLabels
from matcher.watchlist.index import Watchlist
from matcher.watchlist.source import CANARY
from matcher.watchlist.transfers import TransferTable
from ullage.errors import ConfigError
from ullage.security.tags import Tags

STRATA = ("age", "age_band", "product", "region", "tenure")
"""Dimensions that are strata unless others are named."""
OF_STAFF = ("access", "employee", "staff")
"""Dimensions whose labels name employees."""
MOST_CANDIDATES = 1000
MOST_STRATA = 1 << 16
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SourceCandidates:
    """The customers of a list, with who had each of them."""

    members: Memberships
    names: Mapping[str, str]
    """What each candidate id stands for, where that may be shown."""
    subjects: Rows
    """Numbers of the customers in the list, sorted."""
    list: Watchlist

    def find_rows(self, pseudonyms: Tags) -> Rows:
        """Return the row of each pseudonym's customer, -1 where the list lacks it: i64[n]."""
        return _find_rows(self.list, self.subjects, pseudonyms)


def _find_rows(list_: Watchlist, subjects: Rows, pseudonyms: Tags) -> Rows:
    numbers = list_.find_subjects(pseudonyms)
    if not len(subjects):
        return np.full(len(numbers), -1)
    rows = np.minimum(np.searchsorted(subjects, numbers), len(subjects) - 1)
    return np.where(subjects[rows] == numbers, rows, -1)


def gather_candidates(
    list_: Watchlist, transfers: TransferTable, strata: Collection[str], *, may_be_named: bool
) -> SourceCandidates:
    """Return the candidate sources of a list's customers.

    `strata` names dimensions of labels, () for those of `STRATA`. Raises ConfigError if there is no
    candidate, if there are too many, or if a dimension of `strata` is not in the list.
    """
    subjects = list_.list_subjects()
    labels = list_.place_labels(subjects)
    labels.pop(CANARY, None)
    if missing := sorted(set(strata) - labels.keys()):
        raise ConfigError(
            f"--strata: the list has no labels of {missing[0]}: use {', '.join(labels) or 'none'}"
        )
    chosen = sorted(set(strata or STRATA) & labels.keys())
    candidates, names, rows = list[Candidate](), dict[str, str](), list[npt.NDArray[Any]]()
    places = _find_rows(list_, subjects, transfers.pseudonyms)
    for recipient, customers in zip(transfers.recipients, transfers.customers, strict=True):
        first = recipient.first_day.toordinal() if recipient.first_day else 0
        last = recipient.last_day.toordinal() if recipient.last_day else first
        candidates.append(
            Candidate(
                recipient.id, recipient.kind, first, last, recipient.fields,
                may_be_named=may_be_named,
            )
        )  # fmt: skip
        if may_be_named:
            names[recipient.id] = recipient.name
        present = places[customers]
        rows.append(present[present >= 0])
    for dimension in sorted(labels.keys() - set(chosen)):
        for id_, kind, name, number in _name_labels(dimension, labels[dimension]):
            may_be_shown = may_be_named or kind == "own"
            candidates.append(Candidate(id_, kind, may_be_named=may_be_shown))
            if may_be_shown:
                names[id_] = name
            rows.append(np.flatnonzero(labels[dimension].places == number))
    _require_fitting(len(candidates))
    return SourceCandidates(
        Memberships.from_lists(candidates, _to_strata(labels, chosen, len(subjects)), rows),
        names,
        subjects,
        list_,
    )


def _name_labels(dimension: str, labels: PlacedLabels) -> Sequence[tuple[str, Kind, str, int]]:
    """Return id, kind, name and place of each label; an id names no employee."""
    if dimension in OF_STAFF:
        return [
            (f"{dimension}-{number}", "staff", f"{dimension} {name}", number)
            for number, name in enumerate(labels.names, 1)
        ]
    return [
        (f"{dimension} {name}", "own", f"{dimension} {name}", number)
        for number, name in enumerate(labels.names, 1)
    ]


def _require_fitting(candidates: int) -> None:
    if not candidates:
        raise ConfigError(
            "no candidate source is enrolled: use `ullage watchlist transfers`, or load the list"
            " with columns such as cohort_export"
        )
    if candidates > MOST_CANDIDATES:
        raise ConfigError(
            f"{candidates:,} candidate sources are more than {MOST_CANDIDATES:,}: name dimensions"
            " that describe people with --strata, or enrol coarser labels"
        )


def _to_strata(
    labels: Mapping[str, PlacedLabels], chosen: Sequence[str], customers: int
) -> npt.NDArray[np.uint16]:
    """Return one number for the combination of each customer's labels: u16[n].

    Raises ConfigError if there are too many combinations.
    """
    combined = np.zeros(customers, np.int64)
    for dimension in chosen:
        combined = combined * (len(labels[dimension].names) + 1) + labels[dimension].places
        distinct, combined = np.unique(combined, return_inverse=True)
        if len(distinct) > MOST_STRATA:
            raise ConfigError(
                f"--strata: {', '.join(chosen)} have more than {MOST_STRATA:,} combinations: name"
                " fewer dimensions"
            )
    return combined.astype(np.uint16)
