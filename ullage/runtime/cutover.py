"""Up to where on a topic records without a signature are taken: what lay there when its reader first ran as one that verifies.

Whoever can write to the bus could otherwise send a record of an earlier schema, which has no signature, and be believed. The
place is recorded once, in `cutover/TOPIC.json` of the data folder; what comes behind it without a signature is a downgrade.
A reader that starts on an empty topic takes nothing unsigned, ever.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from ullage import log
from ullage.bus import Bus, Record
from ullage.errors import CorruptError
from ullage.files.atomic_write import write_whole
from ullage.records.base import STRICT

FOLDER = "cutover"


class _Recorded(BaseModel):
    """The file."""

    model_config = STRICT

    at: AwareDatetime
    ends: dict[int, int] = Field(max_length=10_000)
    """Per partition the first offset that must be signed."""
    sha256: str = ""
    """Of the other two: a flipped digit would move the place."""

    def summed(self) -> _Recorded:
        """The same with its digest."""
        bare = self.model_copy(update={"sha256": ""})
        return bare.model_copy(update={"sha256": hashlib.sha256(bare.model_dump_json().encode()).hexdigest()})


@dataclass(frozen=True, slots=True)
class Cutover:
    """See the module; `ends` maps a partition to its first offset that must be signed."""

    ends: Mapping[int, int]

    def accepts(self, record: Record) -> bool:
        """Whether a record of the topic lay there before records were signed."""
        return record.offset < self.ends.get(record.partition, 0)

    @classmethod
    def of(cls, data: Path, bus: Bus, topic: str, group: str, now: datetime) -> Cutover:
        """The recorded place, or the end of the topic as it now stands, which then is recorded.

        CorruptError for a file that cannot be read, UnavailableError while the bus is down.
        """
        path = data / FOLDER / f"{topic}.json"
        if path.exists():
            return cls(_read(path).ends)
        ends = {partition: place.end for partition, place in bus.places(topic, group).items()}
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(_Recorded(at=now, ends=ends).summed().model_dump_json().encode(), path)
        log.get(group).info("cutover_recorded", topic=topic, records=sum(ends.values()))
        return cls(ends)


def check(data: Path) -> str:
    """What `ullage check` says of the recorded places; CorruptError for one that cannot be read."""
    found = [_read(path).at for path in sorted((data / FOLDER).glob("*.json"))]
    return f"recorded {max(found):%Y-%m-%d %H:%M} UTC" if found else "not recorded yet"


def _read(path: Path) -> _Recorded:
    with contextlib.suppress(OSError, ValidationError):
        found = _Recorded.model_validate_json(path.read_bytes())
        if found == found.summed():
            return found
    raise CorruptError(
        f"{path} is damaged, cannot be read, or was written by a newer ullage: use that version, or restore it,"
        " or remove it to take what lies on the topic now without signatures"
    )
