"""What topics Kafka must have for us, with which settings."""

from __future__ import annotations

from ullage.bus import Retention
from ullage.bus.kafka.client import MIB, RECORD_BYTES

SEGMENT_SECONDS = 3600.0
SEGMENT_BYTES = (64 * MIB, 1024 * MIB)


def topic_settings(keep: Retention | None, partitions: int) -> dict[str, str]:
    """A topic's settings.

    Kafka counts bytes a partition and expires whole closed segments, so a partition keeps four of the smallest at least: a
    large record would otherwise expire the one before it.
    """
    settings = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES),
        "segment.ms": str(int(SEGMENT_SECONDS * 1000)),
    }
    if keep is not None:
        share = max(4 * SEGMENT_BYTES[0], keep.max_bytes // partitions)
        settings |= {
            "retention.ms": str(int(keep.seconds * 1000)),
            "retention.bytes": str(share),
            "segment.ms": str(int(max(1.0, min(SEGMENT_SECONDS, keep.seconds / 4)) * 1000)),
            "segment.bytes": str(min(share // 4, SEGMENT_BYTES[1])),
        }
    return settings
