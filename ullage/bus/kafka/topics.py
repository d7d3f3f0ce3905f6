"""Define the settings and rights of topics, and compare a cluster with them.

Each service has a user of its own with the fewest rights that its work needs, so that a
compromised host cannot do the work of another service. `KafkaBus` and the tests on a guarded
broker verify these rules.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec

from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Retention
from ullage.bus.kafka.address import KafkaAddress, outline, parse
from ullage.bus.kafka.client import (
    CONNECT_SECONDS,
    MIB,
    RECORD_BYTES,
    REQUEST_SECONDS,
    SEE_PLAN,
    client_settings,
    consumer_settings,
    greet,
    kafka_errors,
)
from ullage.errors import ConfigError
from ullage.security.tls import Trust

SEGMENT_SECONDS = 3600.0
SEGMENT_BYTES = (64 * MIB, 1024 * MIB)
SAME = ("cleanup.policy", "message.timestamp.type")
AT_LEAST = ("max.message.bytes",)
AT_MOST = ("retention.ms", "segment.ms")
"""How a topic's setting may differ from the plan: `-1`, no limit, is above any number."""


def topic_settings(keep: Retention | None, partitions: int) -> dict[str, str]:
    """Return the settings of a topic.

    Kafka counts bytes per partition and expires whole closed segments. So a partition keeps at
    least four of the smallest segments: otherwise a large record would expire the one before it.
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


def deviations(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield a phrase for each setting with which a topic loses, refuses or keeps too much.

    The settings `found` are compared with those `wanted`.
    """
    for name in SAME:
        if name in wanted and found.get(name) != wanted[name]:
            yield f"{name} is {found.get(name)} and must be {wanted[name]}"
    for names, wrong in ((AT_LEAST, int.__lt__), (AT_MOST, int.__gt__)):
        for name in names:
            if name in wanted and wrong(_number(found.get(name)), _number(wanted[name])):
                yield (
                    f"{name} is {found.get(name)} and must be {wanted[name]} or"
                    f" {'more' if names is AT_LEAST else 'less'}"
                )


def _number(text: str | None) -> int:
    return 2**63 if text in (None, "-1") else int(text)


class Examiner:
    """The view of `ullage check` on a cluster, with only the rights of the plan's operator.

    It changes nothing. `rest` is what follows `kafka://`, `data` the data folder; `retention` has
    the topics of this bus.
    """

    def __init__(self, rest: str, data: Path, retention: Mapping[str, Retention]) -> None:
        self._rest, self._data, self._retention = rest, data, retention
        self._connect: tuple[KafkaAddress, Any] | None = None

    def brokers(self) -> str:
        """Connect and log in, and describe how many brokers answer.

        Raises ConfigError or UnavailableError that names the obstacle.
        """
        address = parse(self._rest, self._data)
        greet(address)
        with kafka_errors(f"brokers {','.join(address.servers)}"):
            admin = KafkaAdminClient(**client_settings(address))
            self._connect = address, admin
            return f"{len(admin.describe_cluster()['brokers'])} available"

    @property
    def trust(self) -> Trust | None:
        """The TLS certificates in use, after `brokers` has connected; None without TLS."""
        assert self._connect is not None
        return self._connect[0].trust

    def topic(self, topic: str, group: str | None) -> str:
        """Check a topic's settings; return how many records wait for `group`, as text.

        Without a group, the number of stored records is returned. Call `brokers` first. Raises
        ConfigError if the topic or a right is missing, or with all wrong settings.
        """
        assert self._connect is not None
        address, admin = self._connect
        name = address.topic(topic)
        with kafka_errors(f"topic {name}"):
            parts = _partitions(admin, name)
            if parts is None and address.create:
                return "does not exist yet: it is created on first use (create=1 in bus.url)"
            if parts is None:
                raise ConfigError(
                    f"topic {name} does not exist: have it created; `ullage check --plan`"
                    " prints how"
                )
            wrong = list(
                deviations(
                    _settings(admin, name),
                    topic_settings(self._retention.get(topic), address.partitions),
                )
            )
            if wrong:
                raise ConfigError(
                    f"{name}: {'; '.join(wrong)}: `ullage check --plan` prints all settings"
                )
            first, end = (
                _offsets(admin, parts, OffsetSpec.EARLIEST),
                _offsets(admin, parts, OffsetSpec.LATEST),
            )
            if group is None:
                return f"{sum(end[part] - first[part] for part in parts)} stored"
            read = _fetch_committed_offsets(address, parts, group)
            return (
                f"{sum(max(0, end[part] - max(first[part], read[part])) for part in parts)} waiting"
                f" for {group}"
            )

    def close(self) -> None:
        """Release the connections."""
        if self._connect is not None:
            with contextlib.suppress(errors.KafkaError):
                self._connect[1].close()


def _partitions(admin: Any, name: str) -> list[Any] | None:
    """Return the partitions of a topic; None if it does not exist."""
    (description,) = admin.describe_topics([name])
    fault = errors.for_code(description["error_code"])
    if fault is errors.UnknownTopicOrPartitionError:
        return None
    if fault is not errors.NoError:
        raise fault(name)
    return [
        TopicPartition(name, partition["partition_index"])
        for partition in description["partitions"]
    ]


def _settings(admin: Any, name: str) -> dict[str, str]:
    configs = admin.describe_configs([ConfigResource("TOPIC", name)], config_filter="all")
    settings = {key: row["value"] for key, row in configs.get("topic", {}).get(name, {}).items()}
    if not settings:  # the client leaves out what was refused
        raise ConfigError(
            f"Kafka denies this user the settings of {name} (DescribeConfigs): {SEE_PLAN}"
        )
    return settings


def _offsets(admin: Any, parts: list[Any], which: OffsetSpec) -> dict[Any, int]:
    return {
        part: result.offset
        for part, result in admin.list_partition_offsets(dict.fromkeys(parts, which)).items()
    }


def _fetch_committed_offsets(address: KafkaAddress, parts: list[Any], group: str) -> dict[Any, int]:
    """Return the committed offset of each partition.

    A consumer that joins nothing asks for them: the admin client does not wait for the coordinator,
    which a new cluster must create first.
    """
    consumer = KafkaConsumer(**consumer_settings(address, group))
    try:
        return {
            part: consumer.committed(part, timeout_ms=REQUEST_SECONDS * 1000) or 0 for part in parts
        }
    finally:
        consumer.close(autocommit=False, timeout_ms=CONNECT_SECONDS * 1000)


USER = "ullage-{role}"
TOOL = '{tool} --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN"'
HEAD = (
    (
        "# For the team that owns the Kafka cluster: fill in the next two lines; then this part"
        " runs in a shell as it stands."
    ),
    "BOOTSTRAP=HOST:PORT",
    "ADMIN=admin.properties",
)
USERS = (
    "# These users must be there too, each on its own hosts: {users}.",
    (
        "# ullage-operator is whoever runs `ullage check` and `ullage dead-letters`, with a bus.url"
        " of its own."
    ),
)
OLD = (
    "# A broker before version 2.8 also wants, for each of these users, --operation IdempotentWrite"
    " --cluster."
)
CERTIFIED = (
    (
        "# These users are those of the clients' certificates, CN=ullage-ROLE; the brokers make"
        " names of them with"
    ),
    "# ssl.principal.mapping.rules=RULE:^CN=([A-Za-z0-9-]+).*$/$1/,DEFAULT",
)
NO_USERS = (
    "# These rules are about users, and by bus.url (security={security}) the cluster sees none: see"
    " its SASL_SSL."
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one service may do, and why.

    `groups` maps each group to the topic that it reads; the rule is left out without that topic.
    """

    role: str
    why: str
    operations: Sequence[str]
    topics: Collection[str] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


def grants(operator_groups: Collection[str]) -> Sequence[Grant]:
    """Return the rights of every service.

    `operator_groups` are the groups that read dead letters for a person. Read of a topic or group
    implies Describe, and so does Write: names and offsets of the topic can be requested.
    """
    letters = dict.fromkeys(operator_groups, DEAD_LETTERS)
    return (
        Grant(
            "crawl",
            "appends captures; reads one to learn how long it has waited",
            ("Write", "Read"),
            (CAPTURES,),
        ),
        Grant("crawl", "sees how far match has come", ("Describe",), (), {"match": CAPTURES}),
        Grant("match", "reads captures", ("Read",), (CAPTURES,), {"match": CAPTURES}),
        Grant(
            "match",
            "appends what it found, and what it could not process",
            ("Write",),
            (FINDINGS, DEAD_LETTERS),
        ),
        Grant("alert", "reads findings", ("Read",), (FINDINGS,), {"alert": FINDINGS}),
        Grant("alert", "appends what it could not process", ("Write",), (DEAD_LETTERS,)),
        Grant("operator", "lists and replays dead letters", ("Read",), (DEAD_LETTERS,), letters),
        Grant("operator", "puts them back where they came from", ("Write",), (CAPTURES, FINDINGS)),
        Grant(
            "operator",
            "`ullage check`: how far the groups are",
            ("Describe",),
            (),
            {"match": CAPTURES, "alert": FINDINGS},
        ),
        Grant(
            "operator",
            "`ullage check`: the topics' settings",
            ("DescribeConfigs",),
            (CAPTURES, FINDINGS, DEAD_LETTERS),
        ),
    )


def plan(
    rest: str, retention: Mapping[str, Retention], operator_groups: Collection[str]
) -> Iterator[str]:
    """Yield the lines of a shell script that creates topics and rights.

    `rest` is what follows `kafka://`; `retention` has the topics of this bus. Nothing is connected
    to, and no file is read. Raises ConfigError if the URL is wrong.
    """
    address = outline(rest)
    yield from HEAD
    for topic, keep in retention.items():
        yield _topic(address, topic, keep)
    if address.certified:
        yield from CERTIFIED
    elif not address.client["security_protocol"].startswith("SASL"):
        yield NO_USERS.format(security=address.client["security_protocol"])
    rules = [
        (grant.role, line)
        for grant in grants(operator_groups)
        for line in _rule(address, grant, retention.keys())
    ]
    users = ", ".join(dict.fromkeys(USER.format(role=role) for role, _ in rules))
    yield from (line.format(users=users) for line in USERS)
    yield from (line for _, line in rules)
    yield OLD


def _topic(address: KafkaAddress, topic: str, keep: Retention) -> str:
    words = [
        "--create",
        "--if-not-exists",
        "--topic",
        address.topic(topic),
        "--partitions",
        str(address.partitions),
    ]
    if address.replication > 0:
        words += ["--replication-factor", str(address.replication)]
    for name, value in topic_settings(keep, address.partitions).items():
        words += ["--config", f"{name}={value}"]
    return f"{TOOL.format(tool='kafka-topics.sh')} {shlex.join(words)}"


def _rule(address: KafkaAddress, grant: Grant, here: Collection[str]) -> Iterator[str]:
    topics = [topic for topic in grant.topics if topic in here]
    groups = [group for group, topic in grant.groups.items() if topic in here]
    if not topics and not groups:
        return
    words = ["--add", "--allow-principal", f"User:{USER.format(role=grant.role)}"]
    for option, values in (
        ("--operation", grant.operations),
        ("--topic", [address.topic(topic) for topic in topics]),
        ("--group", [address.group(group) for group in groups]),
    ):
        words += [word for value in values for word in (option, value)]
    yield f"# {grant.role}: {grant.why}"
    yield f"{TOOL.format(tool='kafka-acls.sh')} {shlex.join(words)}"
