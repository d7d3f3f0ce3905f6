"""One configuration: defaults, then the file, then the environment; what is wrong is one line
that names the knob.
"""

import inspect
import tomllib
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from ullage import setup
from ullage.bus import CAPTURES, FINDINGS
from ullage.errors import ConfigError, FaultsError
from ullage.files.validation import read_toml
from ullage.security.keys import KeyStore
from ullage.settings import Context, Settings, Tenant, load


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, text: str | bytes) -> Path:
    (folder / "ullage.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def test_defaults_apply_without_a_file(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.bus.url, settings.match.capture_bytes, settings.tenants) == (
        "sqlite:///bus",
        2**30,
        {},
    )


def test_environment_overrides_the_file_and_the_file_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path, "log_level = 'warning'\n[match]\ncapture_bytes = 3\n[metrics_ports]\nmatch = 0\n"
    )
    monkeypatch.setenv("ULLAGE_MATCH__CAPTURE_BYTES", "5")
    monkeypatch.setenv("ULLAGE_METRICS_PORTS__CRAWL", "9700")
    settings = load(tmp_path)
    assert (settings.log_level, settings.match.capture_bytes) == ("warning", 5)
    assert [settings.metrics_port(role) for role in ("crawl", "match", "alert")] == [9700, 0, 9713]


def test_disabled_metrics_have_no_port(tmp_path: Path) -> None:
    assert (
        load(write(tmp_path, "metrics = false\n[metrics_ports]\nmatch = 9700\n")).metrics_port(
            "match"
        )
        is None
    )


def test_dotenv_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ULLAGE_MATCH__CAPTURE_BYTES=5\n")
    assert load(tmp_path).match.capture_bytes == 2**30


WRONG = {
    "[match]\ncapture_bytes = 'many'": r"match\.capture_bytes: .*valid integer",
    "[match]\ncapture_bytes = 0": r"match\.capture_bytes: .*greater than or equal to 1",
    "[metrics_ports]\nmatch = 70000": r"metrics_ports\.match: .*65535",
    "[metrics_ports]\nmacth = 0": r"metrics_ports: 'macth' is not a role: use crawl, match",
    "[bus]\ncaptures_hours = -1": r"bus\.captures_hours: .*greater than 0",
    "[bus]\ncaptures_hours = inf": r"bus\.captures_hours: .*finite",
    "[crawl]\ndownload_bytes = 99999999999": r"crawl\.download_bytes: .*less than or equal",
    "[match]\nbatchs = 3": r"match\.batchs: did you mean batch\?",
    "[search]\naddress = 'x'": r"search\.address: did you mean host\?",
    "[macth]\ncapture_bytes = 3": r"macth: did you mean match\?",
    "log_level = 'loud'": r"log_level: .*'debug'",
    "[tenants.Bank_1]\nbrands = []": r"tenants: 'Bank_1' is not a valid tenant name",
    "[tenants.bank]\ncirculation = 0": r"tenants\.bank\.circulation: .*greater than 0",
    "[tenants.bank]\nbrands = ['某某', ' ']": (
        r"tenants\.bank\.brands: has an invalid value: expected name"
    ),
    "[tenants.bank]\nothers = ['']": r"tenants\.bank\.others: has an invalid value: expected name",
    "[tenants.bank]\ndomains = ['https://bank.example']": (
        r"tenants\.bank\.domains: has an invalid value: expected domain"
    ),
    "[tenants.bank]\ndomains = ['bank.example/login']": (
        r"tenants\.bank\.domains: has an invalid value: expected domain"
    ),
    "[tenants.bank]\ndomains = ['bank']": (
        r"tenants\.bank\.domains: has an invalid value: expected domain"
    ),
    "[tenants.bank]\nstaff = ['*.bank.example']": (
        r"tenants\.bank\.staff: has an invalid value: expected host"
    ),
    "[tenants.bank]\nbins = ['62']": (
        r"tenants\.bank\.bins: has an invalid value: expected 6 to 8 digits"
    ),
    "[tenants.bank]\nbins = ['622202-622205']": (
        r"tenants\.bank\.bins: has an invalid value: expected 6 to 8 digits"
    ),
    "[tenants.bank]\nown_numbers = ['hotline']": (
        r"tenants\.bank\.own_numbers: has an invalid value: expected number"
    ),
    "[notify.channels.soc]\nurl = 'https://h.example/'": (
        r"notify\.channels\.soc\.url: is a secret: put it into the key folder"
    ),
    "[search]\nhost = '0.0.0.0'": r"search: host is not loopback",
    "[match\ncapture_bytes = 3": r"ullage\.toml: .*line 1",
}


@pytest.mark.parametrize("text", WRONG)
def test_invalid_setting_is_one_line_with_file_and_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=WRONG[text]) as caught:
        load(write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path}/ullage.toml: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_tenant_names_are_accepted_in_every_searchable_form(tmp_path: Path) -> None:
    brands = "brands = ['某某 银行']\n"
    hosts = (
        "domains = ['Bank.example', '@b.银行.cn', '.x.example.']\nstaff = ['oa.b.example',"
        " '@b.example']\n"
    )
    numbers = (
        "bins = ['622202', '62220212']\nown_numbers = ['95588', '+86 138 0013 8000',"
        " 'a@b.example']\n"
    )
    assert (
        len(
            load(write(tmp_path, f"[tenants.bank]\n{brands}{hosts}{numbers}"))
            .tenants["bank"]
            .own_numbers
        )
        == 3
    )


def test_all_faults_are_reported_at_once_with_suggestions(tmp_path: Path) -> None:
    text = (
        "log_level = 'inof'\nuser_agent = 'x'\n[crawl]\nbrowse = 1\n[tenants.bank]\nbrand ="
        " ['x']\n[match]\ncapture_bytes = 0\n"
    )
    with pytest.raises(FaultsError) as caught:
        load(write(tmp_path, text))
    reasons = [fault.removeprefix(f"{tmp_path}/ullage.toml: ") for fault in caught.value.faults]
    assert [fault.split(": ")[0] for fault in reasons] == [
        "log_level", "crawl.browse", "match.capture_bytes", "tenants.bank.brand", "user_agent",
    ]  # fmt: skip
    assert reasons[0].endswith("did you mean info?")
    assert reasons[1] == "crawl.browse: did you mean browser?"
    assert reasons[3] == "tenants.bank.brand: did you mean brands?"
    assert reasons[4] == "user_agent: is not a setting here: did you mean crawl.user_agent?"
    assert str(caught.value).endswith("(and 4 more: `ullage check` lists them)")


def test_unreadable_settings_file_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="utf-8"):
        load(write(tmp_path, b"log_level = '\xff'"))
    (tmp_path / "other" / "ullage.toml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is not a file"):
        load(tmp_path / "other")


def test_invalid_environment_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ULLAGE_MATCH__CAPTURE_BYTES", "many")
    with pytest.raises(ConfigError, match=r"^ULLAGE_MATCH__CAPTURE_BYTES: "):
        load(tmp_path)
    monkeypatch.setenv("ULLAGE_TENANTS", "{")
    with pytest.raises(ConfigError, match="ULLAGE_TENANTS: write a list or a table as JSON"):
        load(tmp_path)


def test_variable_may_hold_json_that_others_extend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "[tenants.bank]\ndomains = ['old.example']\nzone = 'Asia/Tokyo'\n")
    monkeypatch.setenv("ULLAGE_TENANTS", '{"shop": {"domains": ["shop.example"]}}')
    monkeypatch.setenv("ULLAGE_TENANTS__SHOP__ZONE", "Asia/Shanghai")
    monkeypatch.setenv("ullage_tenants__bank__domains", '["bank.example", "b.example"]')
    monkeypatch.setenv("ULLAGE_SOMEBODY_ELSES", "{")
    by_tenant = {
        name: (tenant.domains, tenant.zone) for name, tenant in load(tmp_path).tenants.items()
    }
    assert by_tenant == {
        "bank": (("bank.example", "b.example"), "Asia/Tokyo"),
        "shop": (("shop.example",), "Asia/Shanghai"),
    }


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ULLAGE_MATCH__BATCHS": "3"}, "ULLAGE_MATCH__BATCHS: did you mean batch"),
        (
            {"ULLAGE_TENANTS__BANK__DOMAINS": "bank.example"},
            "ULLAGE_TENANTS__BANK__DOMAINS: write a list or a table as JSON",
        ),
        (
            {"ULLAGE_LOG_LEVEL": "info", "ULLAGE_LOG_LEVEL__X": "1"},
            "ULLAGE_LOG_LEVEL__X: another variable sets the whole",
        ),
    ],
)
def test_unknown_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path)
    assert str(refused.value).startswith(said)


def test_settings_are_immutable(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).match.capture_bytes = 1


def test_retention_of_each_topic_is_in_seconds() -> None:
    keep = Settings().bus.retention()
    assert (keep[CAPTURES].seconds, keep[FINDINGS].seconds) == (86_400.0, 604_800.0)


def knobs(model: type[BaseModel]) -> set[str]:
    """Names of every leaf below `model`."""
    names = set()
    for name, field in model.model_fields.items():
        of_many = (
            typing.get_args(field.annotation)[1:]
            if typing.get_origin(field.annotation) is dict
            else ()
        )
        tables = [
            kind
            for kind in (*of_many, field.annotation)
            if inspect.isclass(kind) and issubclass(kind, BaseModel)
        ]
        names |= knobs(tables[0]) if tables else {name}
    return names


def test_config_show_lists_every_setting_with_default_and_reason(tmp_path: Path) -> None:
    lines = list(setup.describe(load(tmp_path)))
    for knob in knobs(Settings):
        at = next(
            n for n, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{knob} = ")
        )
        assert lines[at - 1].startswith("# ")
        assert "; default " in lines[at - 1]
        assert len(lines[at - 1].split("; default ")[0]) > 10


def test_config_show_output_is_a_valid_equal_configuration(tmp_path: Path) -> None:
    tables = (
        "[match]\ncapture_bytes = 3\n[metrics_ports]\ncrawl = 0\nalert = 1\n[keys]\ncommand ="
        " ['kms', '-q']\n"
    )
    before = load(write(tmp_path, f"{tables}[tenants.bank]\nbrands = ['某某\"银行']\n"))
    shown = "\n".join(setup.describe(before))
    assert tomllib.loads(shown)["tenants"]["bank"]["brands"] == ['某某"银行']
    assert load(write(tmp_path, shown)).model_dump() == before.model_dump()


def test_context_reads_keys_from_the_configured_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    context = Context(write(tmp_path, "[keys]\ncommand = ['kms']"))
    assert (context.keys.root, context.keys.command) == (tmp_path / "keys", ("kms",))
    assert context.keys.credentials == Path("/run/credentials/x")
    assert context.tenant("nobody") == Tenant()


@pytest.mark.parametrize("name", ["file", "_env_file", "_env_prefix", "self"])
def test_internal_reader_option_is_not_a_setting(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"ullage.toml: {name}: unknown setting"):
        load(write(tmp_path, f"{name} = 'x'\n"))


def test_byte_order_mark_is_ignored_in_every_file(tmp_path: Path) -> None:
    mark = "\ufeff".encode()
    write(tmp_path, mark + b"log_level = 'warning'\n")
    assert load(tmp_path).log_level == "warning"
    write(tmp_path, mark)
    with pytest.raises(ConfigError, match="is empty"):
        load(tmp_path)
    write(tmp_path, mark + b"log_level = 'loud'\n")
    with pytest.raises(ConfigError, match="log_level"):
        load(tmp_path)
    assert read_toml("\ufeffa = 1") == {"a": 1}
    write(tmp_path, b"")
    (tmp_path / "keys").mkdir(mode=0o700)
    secret = tmp_path / "keys" / "intake.token"
    secret.write_bytes(mark + b"abc\n")
    secret.chmod(0o600)
    assert KeyStore(tmp_path / "keys").read_lines("intake.token") == ["abc"]
