"""Set up a data folder and inspect it: the commands `init`, `check` and `config show`.

`initialise` creates missing keys and settings. `check` calls every part of the installation that
can be wrong and returns one line each, `ok …`, `WARN …` or `FAULT …`; a fault in one part does not
keep the others from being examined. Stages add their own parts by entry point. `plan` prints what
the owners of Kafka and Elasticsearch must run. Faults that make a command impossible are raised as
ConfigError.
"""

from __future__ import annotations

import contextlib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from ullage.audit import current_user, walk_all
from ullage.audit.forwarding import count_waiting
from ullage.audit.syslog import Receiver, read_url
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.trail import to_key_name
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Retention, open_bus
from ullage.errors import ConfigError, CorruptError, FaultsError, UllageError, list_faults
from ullage.files.atomic_write import write_new
from ullage.files.disk_room import count_free_mib, find_shortage
from ullage.inventory import FOLDER as INVENTORY
from ullage.inventory import KEYS as PART_KEYS
from ullage.running_time import ClockReading
from ullage.runtime import dead_letters
from ullage.security import keys
from ullage.security.tls import Life, ListenerCertificate, Trust
from ullage.settings import FILE, SITES, Context, Settings

LEAST_FREE_MIB, TIGHT_MIB = 256, 1024
"""Free space in MiB.

Less than LEAST_FREE_MIB is a fault: a batch of captures, and what SQLite writes beside them, may
not fit. Less than TIGHT_MIB is a warning.
"""
CONFIG = """\
# ullage.toml: `ullage config show` prints every setting with its default, unit and reason.

second_person = true  # false: one person alone ends a reporting deadline, and reports say so

[crawl]
user_agent = "ullage (leak monitor; contact: security@example.com)"

# Posts of our own, timed from publication to notification; off without this.
# [canary]
# interval_seconds = 300

# One table a tenant: the words and ranges by which a post may name it.
# [tenants.bank]
# brands = ["某某银行"]
# domains = ["bank.example"]
# bins = ["622202"]
# others = ["某某贷"]  # names of other lenders: a list whose rows name them is theirs
# language = "zh"  # or "en": messages of its incidents, the draft of its report, its letters
# medium_deadline = "if confirmed"  # or "run": which clock a medium incident starts; ask counsel
"""
SITE = """\
# Rename to NAME.toml: a site is data, not code. `ullage sites` lists what is read.
platform = "raw_paste"
start = ["https://paste.example.com/archive"]
revisit_seconds = 300
delay_seconds = 2.0
legal_basis = "PIPL 13(1)(3), 57; Anti-Telecom and Online Fraud Law 29"
owner = "security team"
# allow_private = true  # for a site within this house; without it: `unreachable: address`
watch = true  # series of its own in /metrics, so that alert rules name it; at most 200 sites
"""


def initialise(context: Context, *, second_person: bool = True) -> Iterator[str]:
    """Create what is missing in a data folder; yield a line for each thing made.

    Without `second_person` a new configuration lets one person end a reporting deadline, which is
    recorded in the audit log.
    """
    context.inventory.begin()
    # folders that people fill themselves
    keyed = (context.keys.root / name for name in ("notify", "evidence"))
    for folder in (context.data, context.data / SITES, context.keys.root, *keyed):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = (
        CONFIG if second_person else CONFIG.replace("second_person = true", "second_person = false")
    )
    is_new = not (context.data / FILE).exists()
    for path, text in (
        (context.data / FILE, config),
        (context.data / SITES / "example.toml.off", SITE),
    ):
        if not path.exists():
            context.inventory.refuse_lost(path)
            # it holds no secret, and services may run as other users
            write_new(text.encode(), path, 0o644)
            yield f"wrote {path}"
    if is_new and not second_person:
        what = f"{FILE}: second_person = false, reporting deadlines are decided by one person"
        context.trail().append("settings.second_person", what, actor=current_user())
        yield "reporting deadlines are decided by one person (second_person = false)"
    if not context.keys.list_names("seal", ".pub"):
        # a private half left by a crash before its public one
        alone = context.keys.list_names("seal", ".key")
        key_id = Path(alone[-1]).stem if alone else context.clock.now().strftime("%Y%m%d")
        keys.make_seal_pair(context.keys, key_id)
        yield f"made encryption key pair {key_id}"
    for name in ("capture.key", "frontier.key"):
        if not context.keys.exists(name):
            context.keys.make(name)
            yield f"made key {name}"
    yield from _make_signers_and_desks(context)
    context.inventory.enter_all({FILE: "", SITES: ""})
    # a person copied a key here, or a crash came before the entry
    for part in context.inventory.find_unlisted():
        name = part.removeprefix(PART_KEYS)
        context.inventory.enter(part, context.keys.read_check_value(name) if name != part else "")
        yield f"entered {part} in the inventory"


def _make_signers_and_desks(context: Context) -> Iterator[str]:
    for role in keys.SIGNERS:
        before = keys.list_files(context.keys)
        keys.load_signer(context.keys, role)
        if keys.list_files(context.keys) != before:
            yield f"made signing key of {role}"
    for tenant in keys.list_tenants(context.keys):
        if context.keys.exists(f"{tenant}/sign.key") and not context.keys.exists(
            f"{tenant}/console.pub"
        ):
            keys.make_console_pair(context.keys, tenant)
            yield f"made console key pair of {tenant}"


def require(context: Context) -> None:
    """Raise ConfigError unless `ullage init` was run here and every listed part is present.

    Customer lists may be missing.
    """
    context.inventory.require()
    require_initialised(context)


def require_initialised(context: Context) -> None:
    """Raise ConfigError unless `ullage init` has been run here."""
    if not context.data.is_dir() or not context.keys.list_names("seal", ".pub"):
        raise context.not_set_up_error()


def require_keys(context: Context) -> None:
    """Raise ConfigError that names every faulty key in the folder.

    A key is faulty if it is damaged, was replaced, or does not belong to its other half.
    """
    if wrong := keys.list_faults(context.keys):
        raise ConfigError("; ".join(wrong))


class SetupWarning(str):
    """The result of an inspection that is no fault but that somebody should correct."""

    __slots__ = ()


Part = tuple[str, typing.Callable[[], str]]
"""The name of an inspection and its function, which describes the part or raises an error."""
Look = typing.Callable[[str, typing.Callable[[], str]], bool]


def check(context: Context, readers: Mapping[str, str], parts: Iterable[Part] = ()) -> list[str]:
    """Inspect the installation, and return one line per part.

    A line is `ok …` or `WARN …`; each fault of a part has a line `FAULT …`. `parts` are added by
    the installed stages.
    """
    is_here = any(
        path.exists() for path in (context.data / FILE, context.inventory.folder, context.keys.root)
    )
    if not is_here and not context.keys.list_names("seal", ".pub"):
        # mistyped: bus and store would be made there
        return [f"FAULT  data folder: {context.not_set_up_error()}"]
    lines: list[str] = []

    def look(what: str, act: typing.Callable[[], str]) -> bool:
        try:
            result = act()
        except (UllageError, OSError) as error:
            lines.extend(f"FAULT  {what}: {fault}" for fault in list_faults(error))
            return False
        lines.append(
            f"{'WARN ' if isinstance(result, SetupWarning) else 'ok   '}  {what}: {result}"
        )
        return True

    look("inventory", lambda: _inventory(context))
    look("keys", lambda: _keys(context))
    look("signatures", lambda: _signers(context))
    _look_at_buses(context, readers, look)
    for role, shown in (("search", context.settings.search), ("intake", context.settings.intake)):
        if shown.certificate:
            look(
                f"{role} certificate",
                partial(_listener, context, role, shown.certificate, shown.key),
            )
    for tenant in sorted(_with_keys(context.keys)):
        look(f"tenant {tenant}", partial(_epochs, context, tenant))
    for what, act in parts:
        look(what, act)
    look("audit log", lambda: _audit(context))
    if receiver := read_url(context.settings.audit.syslog, context.data):
        look("audit log receiver", lambda: _audit_receiver(context, receiver))
    look("clock", lambda: _clock(context))
    look("disk", lambda: _disks(context))
    return lines


def _disks(context: Context) -> str:
    """Describe the free space of each file system on which this machine stores something.

    Returns a warning if one has less than TIGHT_MIB (1,024), and raises ConfigError if it has less
    than LEAST_FREE_MIB (256).
    """
    urls = (context.settings.bus.url, context.settings.bus.captures, context.settings.store.url)
    folders = {
        context.data,
        *(place for url in urls if (place := _folder_of(url, context.data)) is not None),
    }
    free_space, devices, tight = [], set[int](), False
    for folder in sorted(folders):
        # a later folder is on the same file system as the one above it
        while not folder.exists():
            folder = folder.parent  # noqa: PLW2901
        if folder.stat().st_dev in devices:
            continue
        devices.add(folder.stat().st_dev)
        if shortage := find_shortage(folder, LEAST_FREE_MIB):
            raise ConfigError(f"{shortage}: free space, or soon nothing can be stored")
        free = count_free_mib(folder)
        tight = tight or free < TIGHT_MIB
        free_space.append(
            f"{free} MiB free" if folder == context.data else f"{free} MiB free at {folder}"
        )
    return (
        SetupWarning(f"{', '.join(free_space)}: free space soon")
        if tight
        else ", ".join(free_space)
    )


def _folder_of(url: str, data: Path) -> Path | None:
    """Return the folder of a bus or store in files; None for one on a server."""
    scheme, _, location = url.partition("://")
    path = location.partition("?")[0]
    if scheme not in ("sqlite", "spool") or not path:
        return None
    return data / path.lstrip("/") if not path.startswith("//") else Path(path[1:])


def plan(context: Context, parts: Iterable[str] = ()) -> Iterator[str]:
    """Yield the commands that the owners of the servers must run.

    Nothing is changed, and nothing is connected to. `parts` are the lines that the installed stages
    add. Raises ConfigError if a URL is wrong.
    """
    buses, keep = context.settings.bus, context.settings.bus.retention()
    if buses.captures:
        yield from _bus_plan("bus.captures", buses.captures, {CAPTURES: keep.pop(CAPTURES)})
    yield from _bus_plan("bus.url", buses.url, keep)
    yield from parts


def _bus_plan(knob: str, url: str, keep: Mapping[str, Retention]) -> Iterator[str]:
    scheme, _, address = url.partition("://")
    if scheme == "kafka":
        with _require_extra("kafka"):
            from ullage.bus.kafka.topics import plan as kafka_plan  # noqa: PLC0415

        yield from kafka_plan(address, keep, (dead_letters.REPLAY_GROUP, dead_letters.LIST_GROUP))
    else:
        yield f"# {knob} is {scheme}: nothing has to be created, ullage makes its files itself"


@contextlib.contextmanager
def _require_extra(extra: str) -> Iterator[None]:
    """Name the missing extra if an import in this block fails.

    Raises ConfigError with that name.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"a {extra}:// bus needs {error.name}: install ullage[{extra}]") from None


def _look_at_buses(context: Context, readers: Mapping[str, str], look: Look) -> None:
    """Inspect each topic with `look`, one line each.

    Where there are brokers, they have a line before. Their topics have none if no broker can be
    reached.
    """
    buses, keep = context.settings.bus, context.settings.bus.retention()
    parts = [(buses.url, keep)]
    if buses.captures:
        parts.insert(0, (buses.captures, {CAPTURES: keep.pop(CAPTURES)}))
    for url, topics in parts:
        scheme, _, address = url.partition("://")
        if scheme == "kafka":
            _look_at_kafka(context, address, topics, readers, look)
        else:
            extra_readers = (
                {DEAD_LETTERS: dead_letters.REPLAY_GROUP} if scheme == "sqlite" else {}
            )  # of no stage, and a file that is damaged as others
            for topic, group in {**readers, **extra_readers}.items():
                if topic in topics:
                    look(f"bus topic {topic}", partial(_unread, context, url, topics, topic, group))


def _look_at_kafka(
    context: Context,
    rest: str,
    keep: Mapping[str, Retention],
    readers: Mapping[str, str],
    look: Look,
) -> None:
    with _require_extra("kafka"):
        from ullage.bus.kafka.topics import Examiner  # noqa: PLC0415

    with contextlib.closing(Examiner(rest, context.data, keep)) as cluster:
        if look("bus brokers", cluster.brokers):
            if cluster.trust and cluster.trust.certificate:
                look("bus certificate", partial(own_certificate, context, cluster.trust))
            for topic in keep:
                look(f"bus topic {topic}", partial(cluster.topic, topic, readers.get(topic)))


def own_certificate(context: Context, trust: Trust | None) -> str:
    """Describe until when our client certificate is valid.

    Returns `none is shown` without one. Raises ConfigError if it cannot be read, has expired or is
    not valid yet.
    """
    life = trust.read_life() if trust else None
    if trust is None or trust.certificate is None or life is None:
        return "none is shown"
    return lasts(trust.certificate, life, context.clock.now())


def _listener(context: Context, role: str, certificate: str, key: str) -> str:
    served = ListenerCertificate(role, context.data / certificate, context.data / key)
    return lasts(served.certificate, served.life, context.clock.now())


def lasts(path: Path, life: Life, now: datetime) -> str:
    """Describe until when a certificate is valid, for `check`.

    Returns a warning if it should have been renewed by now. Raises ConfigError if it has expired or
    is not valid yet.
    """
    if now >= life.end:
        raise ConfigError(f"{path} has expired, on {life.end:%Y-%m-%d %H:%M} UTC: have it renewed")
    if now < life.begin:
        raise ConfigError(
            f"{path} is not valid before {life.begin:%Y-%m-%d %H:%M} UTC: check this"
            " machine's clock"
        )
    days = (life.end - now).days
    remaining = (
        f"{days} days are left"
        if days > 1
        else "a day is left"
        if days
        else "less than a day is left"
    )
    validity = f"{path} is good until {life.end:%Y-%m-%d %H:%M} UTC, {remaining}"
    return SetupWarning(f"{validity}: have it renewed") if now > life.renewal_due else validity


def _unread(
    context: Context, url: str, keep: Mapping[str, Retention], topic: str, group: str
) -> str:
    with contextlib.closing(
        open_bus(url, context.data, keep, context.clock, context.inventory)
    ) as bus:
        bus.check(topic)
        return f"{bus.lag(topic, group).records} waiting for {group}"


def _clock(context: Context) -> str:
    reading = context.running_time.look()
    if reading.is_suspended:
        raise ConfigError(str(reading))
    return str(reading)


def accept_clock(context: Context) -> str:
    """Accept the wall clock as right, on a person's word, and return what was found.

    The audit log is written first. If the clocks agree, nothing is accepted or written, and the
    text says so.
    """

    def note(reading: ClockReading) -> None:
        by = (
            f"{reading.jump / 3600:+.1f} h from running time"
            if reading.spans
            else "the record of the clocks was damaged"
        )
        summary = f"the wall clock is right: {reading.said}, {by}"
        context.trail().append("clock.accepted", summary, actor=current_user())

    clock_reading = context.running_time.look()
    if not clock_reading.is_suspended:
        return f"nothing to accept: {clock_reading}"
    return f"accepted, and deletion goes on by running time: {context.running_time.accept(note)}"


def accept_loss(context: Context, part: str, reason: str) -> str:
    """Remove a lost part from the inventory, as a person decided, and return what was accepted.

    `part` may stand for several (a folder), or for an inventory, which is then renewed. The audit
    log is written first, except where the lost part is the log's own or an inventory. Raises
    ConfigError if nothing of that name is missing, or if there is no reason.
    """
    if not reason.strip():
        raise ConfigError(
            "--accept-loss needs a reason: give --reason TEXT, why it is not restored"
        )
    lost, trail = context.inventory.find_lost(part), context.trail()
    if part.partition("/")[0] == INVENTORY:
        context.inventory.renew()
        lost_first = lost_later = list[str]()
    else:
        log_parts = {f"{AUDIT}/{trail.chain}", f"{PART_KEYS}{to_key_name(trail.chain)}"}
        lost_first = [name for name in lost if name in log_parts]  # nothing can be recorded before
        lost_later = [name for name in lost if name not in log_parts]
    context.inventory.strike(*lost_first)
    trail.append(
        "part.loss-accepted", f"part {', '.join(lost)}", actor=current_user(), reason=reason.strip()
    )
    context.inventory.strike(*lost_later)
    return f"accepted the loss of {', '.join(lost)}"


def _inventory(context: Context) -> str:
    """Return how many parts are here.

    Raises FaultsError, which names everything that is missing, if anything is.
    """
    if faults := context.inventory.faults():
        raise FaultsError(faults)
    if unlisted := context.inventory.find_unlisted():
        enter = (
            "`ullage init` enters what you copied here or a crash left so; otherwise find out who"
            " made it"
        )
        return SetupWarning(f"{', '.join(unlisted)} is not in the inventory: {enter}")
    return f"{len(context.inventory.parts())} parts, none missing"


def _audit(context: Context) -> str:
    chains = walk_all(context.data / AUDIT, context.keys)
    for chain in chains:
        for fault in chain.faults:
            raise CorruptError(
                f"{fault.file}{f':{fault.line}' * bool(fault.line)}: {fault.what}; `ullage audit"
                " verify` tells all"
            )
    return f"{sum(chain.entries for chain in chains)} entries, unchanged"


def _audit_receiver(context: Context, receiver: Receiver) -> str:
    """Connect to the receiver without sending, and count the entries it lacks."""
    receiver.connect().close()
    if receiver.trust.certificate is not None:
        own_certificate(context, receiver.trust)
    return f"{receiver.host} responds, {count_waiting(context.data / AUDIT)} entries not sent yet"


def _epochs(context: Context, tenant: str) -> str:
    """Return how many customer lists of `tenant` may be live here, in words.

    Raises ConfigError if a key is missing that every list needs.
    """
    live = {
        purpose: keys.list_generations(context.keys, tenant, purpose)
        for purpose in ("match", "index")
    }
    for purpose, numbers in live.items():
        if not numbers:
            raise ConfigError(
                f"no {tenant}/{purpose}-N.key is in {context.keys.root}: restore it from its copy"
            )
    keys.load_verify_key(context.keys, tenant)
    return f"{len(live['match'])} live match key generation(s)"


def _with_keys(store: keys.KeyStore) -> set[str]:
    """Return the tenants that have a key of a customer list here."""
    return {
        path.parent.name
        for kind in ("verify.pub", "match-*.key", "index-*.key")
        for path in store.root.glob(f"*/{kind}")
    }


def _signers(context: Context) -> str:
    """Describe how many signers are trusted here, by topic.

    Raises ConfigError if no signer is known.
    """
    counts = {
        topic: len(keys.load_verifier(context.keys, topic).known) for topic in (CAPTURES, FINDINGS)
    }
    if not any(counts.values()):
        raise ConfigError(
            f"no signer is known in {context.keys.root / 'signers'}: run `ullage init`, or copy"
            " their public halves"
        )
    return ", ".join(f"{count} signers of {topic} are accepted" for topic, count in counts.items())


def _keys(context: Context) -> str:
    if wrong := dict.fromkeys([*keys.list_missing(context.keys), *keys.list_faults(context.keys)]):
        raise FaultsError(wrong)
    require_initialised(context)
    if (newest := keys.load_sealer(context.keys).key_id) not in keys.load_opener(
        context.keys
    ).private:
        raise ConfigError(
            f"key seal/{newest}.key is not in {context.keys.root}: restore it from its"
            " copy, or posts cannot be decrypted"
        )
    return f"sealing to {newest}, {len(keys.list_files(context.keys))} as made"


class SettingRow(NamedTuple):
    """One setting: its table ("" for the first), name, value, default, unit and reason."""

    table: str
    name: str
    value: object
    default: object
    unit: str
    reason: str

    @property
    def is_example(self) -> bool:
        """Whether it only shows what a table without any entry may hold, such as a tenant."""
        return self.table.endswith(".NAME")

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object; `setting` is the whole name, with a point after the table."""
        return {
            "setting": ".".join(filter(None, (self.table, self.name))),
            "value": self.value,
            "default": self.default,
            "unit": self.unit,
            "reason": self.reason,
        }


def describe(settings: Settings) -> Iterator[str]:
    """Yield every setting as TOML, with its default, unit and reason as comments."""
    for table, rows in groupby(list_settings(settings), key=lambda row: row.table):
        # capitals are no tenant's: this only shows the knobs
        mark = "# " if table.endswith(".NAME") else ""
        if table:
            yield ""
            yield f"{mark}[{table}]"
        for row in rows:
            unit = f" ({row.unit})" if row.unit else ""
            yield f"# {row.reason}{unit}; default {_toml(row.default)}"
            yield f"{mark}{row.name} = {_toml(row.value)}"


def list_settings(settings: Settings) -> Iterator[SettingRow]:
    """Yield every setting, those of one table together; `NAME` stands for a missing entry."""
    yield from _list_settings(Settings, settings, "")


def _list_settings(model: type[BaseModel], values: BaseModel, table: str) -> Iterator[SettingRow]:
    nested, prefix = [], f"{table}." if table else ""
    for name, field in model.model_fields.items():
        value, kind = getattr(values, name), field.annotation
        item_kind = typing.get_args(kind)[1] if typing.get_origin(kind) is dict else None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            nested.append((kind, value, f"{prefix}{name}"))
        elif isinstance(item_kind, type) and issubclass(item_kind, BaseModel):
            nested += [
                (item_kind, item, f"{prefix}{name}.{key}")
                for key, item in (value or {"NAME": item_kind()}).items()
            ]
        else:
            extra = field.json_schema_extra
            unit = str(extra.get("unit") or "") if isinstance(extra, dict) else ""
            yield SettingRow(table, name, value, field.default, unit, field.description or "")
    for kind, value, path in nested:
        yield from _list_settings(kind, value, path)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(item)}' for key, item in value.items())}}}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
