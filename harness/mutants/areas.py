"""What is mutated, by area, and the quick tests that are related to it.

Left out is what only a real server can tell: the connections of `ullage/bus/kafka`, and
Elasticsearch's side of `alerts/store`. The contract suites hold these to the same behaviour (`make
contracts`), at seconds a test and not at milliseconds. `tests/rules/test_named_paths.py` fails
where a file that is named here does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Area:
    """Files and folders, and the tests that are to notice a change of them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]

    def paths(self) -> list[Path]:
        """Return every file of the area."""
        paths_ = [ROOT / file for file in self.files]
        return sorted(
            path for file in paths_ for path in (file.rglob("*.py") if file.is_dir() else [file])
        )


def _files(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names.split())


def _tests(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/test_{name}.py" for name in names.split())


AREAS = {
    "bus": Area(
        (*_files("ullage/bus", "__init__ sqlite kafka/consumer"), "ullage/bus/spool"),
        (
            *_tests("contracts", "bus clock_jump spool"),
            *_tests("ullage", "bus_kafka_consumer bus_kafka_url bus_spool bus_sqlite durable"),
            *_tests("state", "newer torn"),
        ),
    ),
    "store": Area(
        (
            *_files("alerts/store", "__init__ sqlite sqlite_queries tenant_view"),
            *_files("ullage/files", "atomic_write database"),
        ),
        (
            *_tests("contracts", "duty_records incident_store joined_posts"),
            *_tests(
                "alerts", "overtaken store_damage store_plans store_versions tenants tokens within"
            ),
            *_tests("state", "newer torn"),
            *_tests("ullage", "atomic_write database durable lock"),
        ),
    ),
    "grouping": Area(
        ("alerts/grouping", "alerts/service/intake.py"),
        (
            *_tests(
                "alerts",
                "alert authentic canary erased fold heartbeat joined key_checks overtaken presence"
                " projection replaced",
            ),
            *_tests("alerts", "replay sellers sketch status tenants turns"),
            *_tests("contracts", "joined_posts"),
            "tests/alerts/noise",
            "tests/alerts/rules",
        ),
    ),
    "retention": Area(
        ("alerts/service/upkeep.py",),
        (
            *_tests("alerts", "clock_jump erased fold maintenance originals presence seen_again"),
            *_tests("keylife", "erasure"),
        ),
    ),
    "notification": Area(("alerts/notify",), ("tests/alerts/notify",)),
    "decisions": Area(
        (
            "alerts/cases/decisions.py",
            "alerts/cases/evidence/__init__.py",
            "alerts/cases/fraud_cases.py",
            "ullage/custody/vault.py",
        ),
        (
            *_tests("alerts", "deadline duties external_times fraud_cases maintenance originals"),
            *_tests(
                "alerts",
                "clock_commands next_step overtaken person running_deadlines second_person"
                " server_commands within",
            ),
            *(
                f"tests/alerts/desk/test_{name}.py"
                for name in ("cases", "incident_page", "references")
            ),
            "tests/alerts/custody",
            "tests/ullage/custody",
        ),
    ),
    "verdict": Area(
        ("ullage/verdict",),
        (
            "tests/ullage/verdict",
            *_tests("ullage", "rulefiles trusted"),
            *_tests("alerts", "next_step severity_of_step projection"),
        ),
    ),
    "detection": Area(
        ("matcher/detect", "ullage/guard.py", "matcher/match/batches.py"),
        _tests(
            "matcher",
            "abroad backwards batches contested fragments guard labelled literals masked odd_tables"
            " public spellings unescape_numbers unread_values values vectors",
        ),
    ),
    "supervisor": Area(
        ("ullage/clock.py", *_files("ullage/runtime", "supervisor worker")),
        _tests("ullage", "clock supervisor worker"),
    ),
}
