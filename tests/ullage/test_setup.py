"""`init` makes what is missing and leaves what is there; `check` says what is wrong, a line a
part.
"""

import datetime as dt
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.certificates import Authority
from tests.conftest import HeldClock
from tests.factories import outgoing
from tests.ullage.test_tls import write
from ullage import setup
from ullage.audit import read_entries
from ullage.bus import CAPTURES, DEAD_LETTERS
from ullage.cli import app
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.security.tls import Life, Trust
from ullage.settings import Context

READERS = {CAPTURES: "match"}


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_second_init_changes_nothing(context: Context) -> None:
    before = contents(context.data)
    assert list(setup.initialise(context)) == []
    assert contents(context.data) == before
    # configuration and site, keys, signers with public halves, inventory and its key
    assert len(before) == 2 + 4 + 7 * 2 + 2


def test_second_init_reports_that_nothing_was_missing(tmp_path: Path) -> None:
    first, second = (
        CliRunner().invoke(app, ["--data", str(tmp_path / "d"), "init"]) for _ in range(2)
    )
    assert f"wrote {tmp_path}/d/ullage.toml\n" in first.stdout
    assert (second.exit_code, second.stdout) == (
        0,
        f"nothing is missing in {tmp_path}/d: nothing was changed\n",
    )


def test_init_for_one_person_is_recorded_in_settings_and_audit_log(tmp_path: Path) -> None:
    data = tmp_path / "d"
    result = CliRunner().invoke(app, ["--data", str(data), "init", "--one-person"])
    assert "decided by one person (second_person = false)" in result.stdout
    assert not Context(data).tenant("bank").second_person
    assert [entry.action for _, entry in read_entries(data / "audit")] == ["settings.second_person"]
    CliRunner().invoke(app, ["--data", str(data), "init", "--second-person"])
    assert not Context(data).tenant("bank").second_person, (
        "an existing configuration stays as it is"
    )


def test_second_person_is_required_by_default(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["--data", str(tmp_path / "d"), "init"])
    assert Context(tmp_path / "d").tenant("bank").second_person


def test_changed_configuration_survives_init(context: Context) -> None:
    (context.data / "ullage.toml").write_text("log_level = 'debug'\n")
    list(setup.initialise(context))
    assert (context.data / "ullage.toml").read_text() == "log_level = 'debug'\n"


def test_init_completes_an_incomplete_key_pair(context: Context) -> None:
    (public,) = (context.keys.root / "seal").glob("*.pub")
    before = public.read_bytes()
    public.unlink()
    assert list(setup.initialise(context)) == [f"made encryption key pair {public.stem}"]
    assert public.read_bytes() == before


def test_service_before_init_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not set up: run `ullage --data .* init`"):
        setup.require(Context(tmp_path / "nothing"))


def test_check_creates_nothing_where_nothing_is_set_up(tmp_path: Path) -> None:
    (tmp_path / "somebody").write_text("else's")
    for folder in (tmp_path / "mistyped", tmp_path):
        [line] = setup.check(Context(folder), READERS, [("sites", lambda: str(1 / 0))])
        assert line.startswith(
            f"FAULT  data folder: {folder} is not set up: run `ullage --data {folder} init`"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["somebody"]


def test_check_of_a_valid_folder_has_no_fault(context: Context) -> None:
    keys.make_tenant(context.keys, "bank")
    lines = setup.check(context, READERS)
    assert [line.split()[0] for line in lines] == ["ok"] * 9
    assert any("tenant bank: 1 live match key generation" in line for line in lines)


def test_check_includes_the_parts_of_stages(context: Context) -> None:
    def broken() -> str:
        raise ConfigError("sites.d/x.toml: platform: is unknown")

    lines = setup.check(context, READERS, [("sites", broken), ("store", lambda: "3 incidents")])
    assert "FAULT  sites: sites.d/x.toml: platform: is unknown" in lines
    assert "ok     store: 3 incidents" in lines


def test_check_names_each_fault_and_continues(context: Context) -> None:
    (context.keys.root / "capture.key").chmod(0o644)
    context.bus().publisher(DEAD_LETTERS).close()
    (context.data / "bus" / "captures.sqlite").write_bytes(b"nonsense" * 1000)
    lines = setup.check(context, READERS)
    assert [line.split()[0] for line in lines] == ["WARN", "FAULT", "ok", "FAULT", *["ok"] * 4]
    assert "bus/captures.sqlite is not in the inventory" in lines[0]
    assert "make it 0600" in lines[1]
    assert "captures.sqlite is damaged" in lines[3]


def test_check_reads_all_dead_letters(context: Context) -> None:
    context.bus().publisher(DEAD_LETTERS).append(
        [outgoing("x" * 4000, key=str(n)) for n in range(40)]
    )
    file = context.data / "bus" / "dead-letters.sqlite"
    content = bytearray(file.read_bytes())
    content[-2000] ^= 1
    file.write_bytes(content)
    lines = setup.check(context, READERS)
    assert any(
        line.startswith("FAULT  bus topic dead-letters:")
        and "dead-letters.sqlite is damaged" in line
        for line in lines
    )


def test_check_reads_the_whole_bus_and_audit_log(context: Context) -> None:
    context.bus().publisher(CAPTURES).append([outgoing("x" * 4000, key=str(n)) for n in range(40)])
    context.trail().append("incident.confirm", "INC-1", actor="Li")
    file = context.data / "bus" / "captures.sqlite"
    content = bytearray(file.read_bytes())
    content[-2000] ^= 1  # no record that anybody reads next
    file.write_bytes(content)
    (segment,) = (context.data / "audit" / "command").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"INC-1", b"INC-2"))
    lines = setup.check(context, READERS)
    assert any(
        line.startswith("FAULT  bus topic captures:") and "captures.sqlite is damaged" in line
        for line in lines
    )
    assert any(
        line.startswith("FAULT  audit log:") and "was changed: its digest does not match" in line
        for line in lines
    )


GAP = (
    'url = "kafka://b:1?prefix=x.&partitions=3&replication=3&credentials=not.there"\ncaptures ='
    ' "spool:///gap"\n'
)


def plan_lines(context: Context, text: str) -> list[str]:
    (context.data / "ullage.toml").write_text(f"[bus]\n{text}")
    return list(setup.plan(Context(context.data)))


@pytest.mark.parametrize(
    ("url", "scheme"), [("sqlite:///bus", "sqlite"), ("spool:///out", "spool")]
)
def test_embedded_bus_needs_no_setup(context: Context, url: str, scheme: str) -> None:
    (line,) = plan_lines(context, f'url = "{url}"\n')
    assert line.startswith(f"# bus.url is {scheme}: nothing has to be created")


def test_plan_of_a_cluster_has_every_setting_and_needs_no_credentials(context: Context) -> None:
    lines = plan_lines(
        context,
        "url ="
        ' "kafka://b:1?prefix=x.&partitions=3&replication=2&credentials=not.there"\ncaptures_hours'
        " = 2.0\n",
    )
    (topic_line,) = [
        line
        for line in lines
        if " --topic x.captures --partitions 3 --replication-factor 2 " in line
    ]
    for setting in (
        "retention.ms=7200000",
        "message.timestamp.type=LogAppendTime",
        "max.message.bytes=35651584",
    ):
        assert f" --config {setting}" in topic_line
    assert len([line for line in lines if line.startswith("kafka-topics.sh ")]) == 3
    assert all(line.startswith(("#", "kafka-", "BOOTSTRAP=", "ADMIN=")) for line in lines)


def test_plan_grants_each_service_only_named_topics_and_groups(context: Context) -> None:
    rules = [
        line
        for line in plan_lines(context, 'url = "kafka://b:1?prefix=x."\n')
        if line.startswith("kafka-acls.sh ")
    ]
    assert {rule.split("User:ullage-")[1].split()[0] for rule in rules} == {
        "crawl",
        "match",
        "alert",
        "operator",
    }
    for rule in rules:
        assert (
            " x.captures" in rule
            or " x.findings" in rule
            or " x.dead-letters" in rule
            or " --group x." in rule
        )
        assert "*" not in rule
        assert "All" not in rule
        assert "cluster" not in rule


def test_plan_behind_a_gap_leaves_out_captures(context: Context) -> None:
    lines = plan_lines(context, GAP)
    assert lines[0].startswith("# bus.captures is spool: nothing has to be created")
    rules = [line for line in lines if not line.startswith("#")]
    assert not [line for line in lines if "x.captures" in line or "x.match" in line]
    assert not [line for line in rules if "ullage-crawl" in line]
    assert [
        line for line in lines if line.endswith(": ullage-match, ullage-alert, ullage-operator.")
    ]
    assert [line for line in lines if "x.findings" in line]


def test_plan_for_a_cluster_without_users_says_so(context: Context) -> None:
    assert [
        line
        for line in plan_lines(context, 'url = "kafka://b:1"\n')
        if "security=PLAINTEXT" in line
    ]


def test_missing_kafka_client_names_what_to_install(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("ullage.bus.kafka")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "kafka", None)
    with pytest.raises(ConfigError, match=r"a kafka:// bus needs kafka: install ullage\[kafka\]"):
        plan_lines(context, 'url = "kafka://b:1"\n')


def test_check_lists_trusted_signers(context: Context) -> None:
    assert (
        "ok     signatures: 2 signers of captures are accepted, 2 signers of findings are"
        " accepted" in setup.check(context, {})
    )
    shutil.rmtree(context.keys.root / "signers")
    (line,) = [line for line in setup.check(context, {}) if "signatures" in line]
    assert line.startswith("FAULT  signatures: no signer is known")
    # their private halves are there
    assert [line for line in setup.initialise(context) if "signing" in line]
    assert not [line for line in setup.check(context, {}) if "FAULT  signatures" in line]


DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)


def install_certificate(context: Context, role: str, until: dt.timedelta) -> Context:
    """Install a listener certificate that is valid until then."""
    certificates = Authority().server(until=until)
    (
        write(context.data / f"{role}.pem", certificates.certificate),
        write(context.data / f"{role}.key", certificates.key),
    )
    text = f'[{role}]\ncertificate = "{role}.pem"\nkey = "{role}.key"\n'
    (context.data / "ullage.toml").write_text((context.data / "ullage.toml").read_text() + text)
    return Context(context.data)


def listeners(context: Context) -> list[str]:
    return [line for line in setup.check(context, {}) if " certificate: " in line]


def test_check_shows_how_long_listener_certificates_are_valid(context: Context) -> None:
    (context.data / "ullage.toml").write_text("metrics = false\n")
    assert listeners(context) == []
    context = install_certificate(
        install_certificate(context, "search", 90 * DAY), "intake", 10 * MINUTE
    )
    ends = {
        role: Life.from_pem((context.data / f"{role}.pem").read_bytes()).end
        for role in ("search", "intake")
    }
    expiry = {
        role: f"{context.data}/{role}.pem is good until {end:%Y-%m-%d %H:%M} UTC"
        for role, end in ends.items()
    }
    assert listeners(context) == [
        f"ok     search certificate: {expiry['search']}, 89 days are left",
        f"WARN   intake certificate: {expiry['intake']}, less than a day is left: have it renewed",
    ]


@pytest.mark.parametrize("role", ["search", "intake"])
def test_check_fails_for_an_expired_or_unusable_listener_certificate(
    context: Context, role: str
) -> None:
    (context.data / "ullage.toml").write_text("metrics = false\n")
    context = install_certificate(context, role, -MINUTE)
    end = Life.from_pem((context.data / f"{role}.pem").read_bytes()).end
    [line] = listeners(context)
    assert (
        line == f"FAULT  {role} certificate: {context.data}/{role}.pem has expired, on"
        f" {end:%Y-%m-%d %H:%M} UTC: have it renewed"
    )
    write(context.data / f"{role}.key", Authority().server().key)
    [line] = listeners(context)
    assert line.startswith(f"FAULT  {role} certificate: ")
    assert "its key does not belong to its certificate: put a matching pair there" in line
    (context.data / f"{role}.pem").unlink()
    [line] = listeners(context)
    assert (
        line == f"FAULT  {role} certificate: {role}.certificate: {context.data}/{role}.pem does not"
        " exist: put the file there, or correct the setting"
    )


def test_expired_or_future_client_certificate_is_a_fault(
    context: Context,
) -> None:
    path = write(context.data / "own.pem", Authority().client("a", -MINUTE).pair)
    context = Context(context.data)
    with pytest.raises(ConfigError, match=r"own\.pem has expired, on .* UTC: have it renewed"):
        setup.own_certificate(context, Trust("store.url", certificate=path))
    early = Life(context.clock.now() + DAY, context.clock.now() + 90 * DAY)
    with pytest.raises(
        ConfigError, match=r"own\.pem is not valid before .* UTC: check this machine's clock"
    ):
        setup.lasts(path, early, context.clock.now())


def test_check_reports_a_clock_jump_and_a_person_accepts_it(
    context: Context, clock: HeldClock
) -> None:
    context.running_time.read()
    clock.jump(200 * 86_400)
    [line] = [line for line in setup.check(context, READERS) if "clock" in line]
    assert line.startswith("FAULT  clock: the wall clock says 2027-04-09 ")
    assert "running time makes it 2026-09-21 " in line
    assert "`ullage check --accept-clock`" in line
    answer = setup.accept_clock(context)
    assert answer.startswith(
        "accepted, and deletion goes on by running time: the wall clock goes as running time does,"
        " 2027-04-09"
    )
    [entry] = [
        entry_
        for _, entry_ in read_entries(context.data / "audit")
        if entry_.action == "clock.accepted"
    ]
    assert entry.object.startswith("the wall clock is right: 2027-04-09 ")
    assert entry.object.endswith(", +4800.0 h from running time")
    assert next(line for line in setup.check(context, READERS) if "clock" in line).startswith("ok ")
    assert setup.accept_clock(context).startswith("nothing to accept:")
    assert len(list(read_entries(context.data / "audit"))) == 1


def test_damaged_clock_record_is_reported_and_can_be_accepted(context: Context) -> None:
    context.running_time.read()
    context.running_time.path.write_bytes(b"{}")
    [line] = [line for line in setup.check(context, READERS) if "clock" in line]
    assert line.startswith("FAULT  clock: the record of the clocks in clock/record.json is damaged")
    setup.accept_clock(context)
    assert not context.running_time.read().is_suspended
    [entry] = [
        entry_
        for _, entry_ in read_entries(context.data / "audit")
        if entry_.action == "clock.accepted"
    ]
    assert entry.object.endswith("the record of the clocks was damaged")
