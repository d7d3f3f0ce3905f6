"""What must exist on a cluster that another team owns: topics, and access rules by role, as that team's own commands.

Each role has a user of its own and the least that its work needs, so that a host that is broken into cannot do another role's.
`KafkaBus` and the tests on a guarded broker are what these rules are held against.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Retention
from ullage.bus.kafka.address import KafkaAddress, outline
from ullage.bus.kafka.topics import topic_settings

USER = "ullage-{role}"
TOOL = '{tool} --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN"'
HEAD = (
    "# For the team that owns the Kafka cluster: fill in the next two lines; then this part runs in a shell as it stands.",
    "BOOTSTRAP=HOST:PORT",
    "ADMIN=admin.properties",
)
USERS = (
    "# These users must be there too, each on its own hosts: {users}.",
    "# ullage-operator is whoever runs `ullage check` and `ullage dead-letters`, with a bus.url of its own.",
)
OLD = "# A broker before version 2.8 also wants, for each of these users, --operation IdempotentWrite --cluster."
CERTIFIED = (
    "# These users are those of the clients' certificates, CN=ullage-ROLE; the brokers make names of them with",
    "# ssl.principal.mapping.rules=RULE:^CN=([A-Za-z0-9-]+).*$/$1/,DEFAULT",
)
NO_USERS = "# These rules are about users, and by bus.url (security={security}) the cluster sees none: see its SASL_SSL."


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role may do, and why. `groups` says which topic each group reads: without that topic it is not asked for."""

    role: str
    why: str
    operations: Sequence[str]
    topics: Collection[str] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


def grants(operator_groups: Collection[str]) -> Sequence[Grant]:
    """Every role's rights; `operator_groups` are those that read dead letters for a person.

    Read of a topic or group implies Describe, and so does Write: the names and offsets of the topic can be asked for.
    """
    letters = dict.fromkeys(operator_groups, DEAD_LETTERS)
    return (
        Grant("crawl", "appends captures; reads one to learn how long it has waited", ("Write", "Read"), (CAPTURES,)),
        Grant("crawl", "sees how far match has come", ("Describe",), (), {"match": CAPTURES}),
        Grant("match", "reads captures", ("Read",), (CAPTURES,), {"match": CAPTURES}),
        Grant("match", "appends what it found, and what it could not process", ("Write",), (FINDINGS, DEAD_LETTERS)),
        Grant("alert", "reads findings", ("Read",), (FINDINGS,), {"alert": FINDINGS}),
        Grant("alert", "appends what it could not process", ("Write",), (DEAD_LETTERS,)),
        Grant("operator", "lists and replays dead letters", ("Read",), (DEAD_LETTERS,), letters),
        Grant("operator", "puts them back where they came from", ("Write",), (CAPTURES, FINDINGS)),
        Grant("operator", "`ullage check`: how far the groups are", ("Describe",), (), {"match": CAPTURES, "alert": FINDINGS}),
        Grant("operator", "`ullage check`: the topics' settings", ("DescribeConfigs",), (CAPTURES, FINDINGS, DEAD_LETTERS)),
    )


def plan(rest: str, retention: Mapping[str, Retention], operator_groups: Collection[str]) -> Iterator[str]:
    """The plan as lines of a shell script; `rest` is what follows `kafka://`, `retention` has the topics of this bus.

    Nothing is connected to and no file is read. ConfigError when the URL is wrong.
    """
    address = outline(rest)
    yield from HEAD
    for topic, keep in retention.items():
        yield _topic(address, topic, keep)
    if address.certified:
        yield from CERTIFIED
    elif not address.client["security_protocol"].startswith("SASL"):
        yield NO_USERS.format(security=address.client["security_protocol"])
    rules = [(grant.role, line) for grant in grants(operator_groups) for line in _rule(address, grant, retention.keys())]
    users = ", ".join(dict.fromkeys(USER.format(role=role) for role, _ in rules))
    yield from (line.format(users=users) for line in USERS)
    yield from (line for _, line in rules)
    yield OLD


def _topic(address: KafkaAddress, topic: str, keep: Retention) -> str:
    words = ["--create", "--if-not-exists", "--topic", address.topic(topic), "--partitions", str(address.partitions)]
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
