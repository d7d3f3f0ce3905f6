"""What no consumer may do with a group's offsets, watched from outside at every poll and commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.simulate.process import Process
from ullage.bus import PartitionPosition, Record

Of = tuple[str, str, int]
"""A topic, a group and a partition."""


@dataclass
class Offsets:
    """How far each group has come; a line in `broken` for each kind of thing that must not be."""

    _committed: dict[Of, int] = field(default_factory=dict)
    _handed: dict[Of, int] = field(default_factory=dict)
    """Behind the last record that anybody was given."""
    _consumers: dict[tuple[str, str], list[Process]] = field(default_factory=dict)
    _broken: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """The first of each kind."""
        return list(self._broken.values())

    def joined(self, topic: str, group: str, process: Process) -> None:
        """Record that a process takes a group's place, which no other living one has."""
        beside = [
            consumer for consumer in self._consumers.get((topic, group), ()) if not consumer.dead
        ]
        if beside:
            self._tell("two", f"two processes read {topic} for {group}")
        self._consumers[topic, group] = [*beside, process]

    def left(self, topic: str, group: str, process: Process) -> None:
        """Record that a process gives up a group's place."""
        self._consumers[topic, group] = [
            consumer
            for consumer in self._consumers.get((topic, group), ())
            if consumer is not process
        ]

    def stand(self, topic: str, group: str, places: Mapping[int, PartitionPosition]) -> None:
        """Check a group's positions: not before earlier ones, nor behind what it was handed."""
        for partition, place in places.items():
            of = topic, group, partition
            before = self._committed.get(of, place.position)
            if place.position < before:
                self._tell(
                    "back",
                    f"the offset of {group} in {topic} moved back from {before} to"
                    f" {place.position}",
                )
            if place.position > max(before, self._handed.get(of, before)):
                self._tell(
                    "ahead",
                    f"the offset of {group} in {topic} moved past records that nobody was handed",
                )
            self._committed[of] = max(before, place.position)

    def handed(self, topic: str, group: str, records: Iterable[Record]) -> None:
        """Somebody was given these: none that was dealt with."""
        for record in records:
            of = topic, group, record.partition
            behind = self._handed.setdefault(of, record.offset)
            if record.offset > behind:
                self._tell("skipped", f"record {behind} of {topic} was never handed to {group}")
            if record.offset < self._committed.get(of, record.offset):
                self._tell(
                    "again",
                    f"record {record.offset} of {topic} was handed to {group} again after it was"
                    " dealt with",
                )
            self._handed[of] = max(behind, record.offset + 1)

    def _tell(self, kind: str, what: str) -> None:
        self._broken.setdefault(kind, what)
