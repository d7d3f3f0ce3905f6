"""The shipped configuration with this run's addresses, and with seconds where it has minutes:
what is tested is what ships.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
PORTS = {"crawl": 9711, "match": 9712, "alert": 9713, "search": 8600}


def replace_all(text: str, *pairs: tuple[str, str]) -> str:
    """Return `text` with every first part replaced by the second; each must occur."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def quick_rules(text: str) -> str:
    """Gauges are looked at over five seconds, and whatever must last lasts one; windows of
    counters stay.
    """
    text = re.sub(r"((?:max|min)_over_time\(\w+\{[^}]*\})\[\w+\]", r"\1[5s]", text)
    return re.sub(r"^( +for: )\S+$", r"\g<1>1s", text, flags=re.MULTILINE)


def prometheus_files(folder: Path, ports: Mapping[str, int], alertmanager: str) -> Path:
    """Write Prometheus's configuration and rules; returns the former."""
    shutil.copytree(DEPLOY / "prometheus", folder, dirs_exist_ok=True)
    for path in (folder / "rules").glob("*.yaml"):
        path.write_text(quick_rules(path.read_text(encoding="utf-8")), encoding="utf-8")
    everything = "".join(
        path.read_text(encoding="utf-8") for path in (folder / "rules").glob("*.yaml")
    )
    assert not re.search(
        r"(max|min)_over_time\([^\[]*\[(?!5s\])|^ +for: (?!1s$)", everything, re.MULTILINE
    ), "a window that stays long"
    text = (folder / "prometheus.yml").read_text(encoding="utf-8")
    targets = [
        (f'"127.0.0.1:{PORTS[role]}"', f'"127.0.0.1:{port}"') for role, port in ports.items()
    ]
    intervals = [("_interval: 15s", "_interval: 1s"), ("scrape_timeout: 10s", "scrape_timeout: 1s")]
    text = replace_all(
        text,
        *targets,
        *intervals,
        ('"127.0.0.1:9093"', f'"{alertmanager.removeprefix("http://")}"'),
    )
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    return folder / "prometheus.yml"


def alertmanager_file(path: Path, receiver: str) -> Path:
    """Write Alertmanager's configuration, with all its receivers at `receiver`; returns it."""
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    text = replace_all(text, ("https://hooks.example.com/ullage", receiver))
    for knob, value in (("group_wait", "0s"), ("group_interval", "1s"), ("repeat_interval", "2s")):
        text, count = re.subn(rf"^( +{knob}: )\S+$", rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert count
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
