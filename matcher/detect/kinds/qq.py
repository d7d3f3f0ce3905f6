"""QQ numbers that mail addresses are made of (`12345678@qq.com`); those beside a label are found with all that have one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.columns.bitset import is_digit
from matcher.detect.candidates import Segment
from matcher.detect.kinds import phone
from ullage.identifiers import qq

WIDTH = 16


def find(mail: Sequence[Segment]) -> list[Segment]:
    """QQ numbers of the addresses `mail`; digits of a mobile's shape are a phone's mailbox, and none."""
    shortest, longest = qq.LENGTHS
    found = []
    for segment in mail:
        columns = np.arange(segment.normal.shape[1])
        for host in map(str.encode, qq.HOSTS):
            local = segment.length - len(host)
            may = np.flatnonzero((local >= shortest) & (local <= longest))
            may = may[segment.normal[may, local.take(may)] == host[0]]
            some, local = segment.take(may), local.take(may)
            ends = local[:, None] + np.arange(len(host))
            own = (np.take_along_axis(some.normal, ends, 1) == np.frombuffer(host, np.uint8)).all(1)
            own &= (is_digit(some.normal) | (columns >= local[:, None])).all(1) & (some.normal[:, 0] > ord("0"))
            own &= ~((local == phone.LENGTH) & phone.is_mobile(some.normal))
            length = local[own]
            text = np.where(columns[:WIDTH] < length[:, None], some.normal[own][:, :WIDTH], np.uint8(0))
            found.append(Segment("qq", "plain", some.start[own], some.start[own] + length, text, length, own[own]))
    return [segment for segment in found if len(segment)]
