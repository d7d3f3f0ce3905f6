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
        some = segment.where(is_digit(segment.normal[:, 0]))
        columns = np.arange(some.normal.shape[1])
        for host in map(str.encode, qq.HOSTS):
            local = some.length - len(host)
            ends = np.minimum(np.maximum(local, 0)[:, None] + np.arange(len(host)), len(columns) - 1)
            own = (np.take_along_axis(some.normal, ends, 1) == np.frombuffer(host, np.uint8)).all(1)
            own &= (is_digit(some.normal) | (columns >= local[:, None])).all(1) & (some.normal[:, 0] > ord("0"))
            own &= (local >= shortest) & (local <= longest) & ~((local == phone.LENGTH) & phone.is_mobile(some.normal))
            length = local[own]
            text = np.where(columns[:WIDTH] < length[:, None], some.normal[own][:, :WIDTH], np.uint8(0))
            found.append(Segment("qq", "plain", some.start[own], some.start[own] + length, text, length, own[own]))
    return [segment for segment in found if len(segment)]
