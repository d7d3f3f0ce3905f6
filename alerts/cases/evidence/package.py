"""Collect the evidence of an incident for a court: source, reasons, custody, coverage, hashes.

A package follows from the records of the store, the audit log and the settings alone: it has no
time of its making and no order but that of the records, so equal states give equal bytes. Its facts
are those that may leave the organization (`alerts.cases.outgoing`), so no value of a customer, no
title, author or address and no partner's name can be in it. Reasons that people typed stay in the
audit log, where number and digest of an entry find them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.cases.evidence import find_last_holds, vault_of
from alerts.cases.evidence.package_file import (
    COVERAGE,
    DAYS,
    SIGNERS,
    PackageHead,
    to_json,
    write_package,
)
from alerts.cases.evidence.package_text import (
    PackageFacts,
    SealedOriginal,
    list_omissions,
    render_statement,
)
from alerts.cases.incident_list import get_incident
from alerts.cases.outgoing import OutgoingIncident, outgoing_sightings
from alerts.coverage.hours import CoverageWindow, read_coverage
from alerts.coverage.report import (
    MOST_DAYS,
    ReportOrigin,
    find_signer,
    format_organizations,
    render_report,
    verdict,
)
from alerts.coverage.signed_days import (
    DayCheck,
    check_days,
    find_last_sheet,
    open_stamper,
    verify_sheet,
)
from alerts.records import DaySheet, Decision, Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore
from ullage import __version__
from ullage.audit import AuditEntry, read_entries, walk_all
from ullage.audit.bait import read_stamps
from ullage.audit.trail import FOLDER as AUDIT
from ullage.errors import ConfigError, RecordError
from ullage.security import keys
from ullage.security.signing import TOPIC, Signer, Verifier
from ullage.settings import Context, Language
from ullage.verdict.rules import VERDICT

ACTION = "evidence.package"
"""Its entries are no part of a package, which would otherwise differ from the one before it."""
MAKER = "ullage evidence pack"
LANGUAGES: tuple[Language, ...] = ("en", "zh")
CUSTODY_FIELDS = {"seq", "at", "actor", "action", "object", "digest"}
"""What of an audit entry is in a package; the reason that a person typed is not."""
DAY = timedelta(days=1)
WORD = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class _Records:
    """The stored records of one incident, oldest first."""

    incident: Incident
    sightings: Sequence[Sighting]
    custody: Sequence[tuple[str, AuditEntry]]
    """The entries of the audit log that name the incident or a sighting of it, with their chain."""
    as_of: datetime
    """The newest time in the records, which stands for the time of the package."""


def build_package(context: Context, store: IncidentStore, incident: str) -> bytes:
    """Return the evidence package of an incident; nothing is written.

    Raises ConfigError if the incident does not exist, or if alert's key is not on this machine: a
    package without a signature proves nothing.
    """
    signer = find_signer(context.keys)
    if signer is None:
        raise ConfigError(
            "an evidence package needs alert's key sign/alert.key: run the command on the machine"
            " that has it"
        )
    records = _read_records(context, store, incident)
    coverage = _read_coverage(context, store, records)
    facts = _collect_facts(context, records, coverage)
    parts = {
        **{
            f"statement.{language}.txt": render_statement(facts, language).encode()
            for language in LANGUAGES
        },
        "facts.json": to_json(_to_document(facts)),
        "custody.jsonl": b"".join(_custody_lines(records.custody)),
        COVERAGE: _render_coverage(context, coverage, records, signer).encode(),
        DAYS: to_json([sheet.model_dump(mode="json") for sheet in coverage.sheets]),
        SIGNERS: to_json(_list_public_keys(context, coverage.sheets)),
    }
    return write_package(parts, PackageHead(facts.incident.id, __version__), signer)


def _read_records(context: Context, store: IncidentStore, id_: str) -> _Records:
    incident = get_incident(store, id_)
    family = DocumentFilter({"incident": incident.family})
    sightings = sorted(
        store.scroll(Sighting, family), key=lambda sighting: (sighting.fetched_at, sighting.id)
    )
    names = {*incident.family, *(sighting.id for sighting in sightings)}
    custody = sorted(
        (
            (chain, entry)
            for chain, entry in read_entries(context.data / AUDIT)
            if entry.tenant == incident.tenant
            and entry.action != ACTION
            and not names.isdisjoint(WORD.findall(entry.object))
        ),
        key=lambda item: (item[1].at, item[0], item[1].seq),
    )
    holds = find_last_holds(store)
    times = [
        incident.opened_at,
        incident.updated_at,
        incident.last_seen,
        *(sighting.fetched_at for sighting in sightings),
        *(entry.at for _, entry in custody),
        *(decision.at for decision in store.scroll(Decision, family)),
        *(holds[id_].at for id_ in incident.family if id_ in holds),
    ]
    return _Records(incident, sightings, custody, max(times))


@dataclass(frozen=True, slots=True)
class _Coverage:
    """The coverage of an incident's days, what their signatures prove, and the signed days."""

    window: CoverageWindow
    checks: Sequence[DayCheck]
    sheets: Sequence[DaySheet]
    """The newest sheet of each day, if its signature is one that is known here."""


def _read_coverage(context: Context, store: IncidentStore, records: _Records) -> _Coverage:
    """Return the coverage of the days of the incident, at most the last 62.

    It is assessed as of the newest record or sheet, because the present would change the bytes.
    """
    until = records.incident.last_seen
    beginning = max(records.incident.first_seen, until - (MOST_DAYS - 1) * DAY)
    since = beginning.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (f"{since + number * DAY:%Y-%m-%d}" for number in range((until - since).days + 1))
    sheets = [sheet for day in days if (sheet := find_last_sheet(store, day)) is not None]
    now = max([records.as_of, *(sheet.at for sheet in sheets)])
    window = read_coverage(store, since, max(until, since + timedelta(hours=1)), now)
    verifier = keys.load_verifier(context.keys, TOPIC)
    checks = check_days(store, window.days, verifier, open_stamper(context), now)
    return _Coverage(window, checks, [sheet for sheet in sheets if _is_signed(sheet, verifier)])


def _is_signed(sheet: DaySheet, verifier: Verifier) -> bool:
    try:
        verify_sheet(sheet, verifier)
    except RecordError:
        return False
    return True


def _collect_facts(context: Context, records: _Records, coverage: _Coverage) -> PackageFacts:
    incident, tenant = records.incident, context.tenant(records.incident.tenant)
    chains = walk_all(context.data / AUDIT, context.keys)
    rules = VERDICT.load_current(context.data)
    judged = verdict(coverage.window, coverage.checks)
    return PackageFacts(
        incident=OutgoingIncident.from_incident(incident),
        incomplete=incident.incomplete,
        is_frozen=incident.frozen_at is not None,
        organizations={
            language: format_organizations(context.settings, (incident.tenant,), language)
            for language in LANGUAGES
        },
        as_of=records.as_of,
        zone=ZoneInfo(tenant.zone),
        version=__version__,
        rules_sha256=hashlib.sha256(rules.text.encode()).hexdigest(),
        originals=tuple(_list_originals(context, records)),
        custody=tuple(records.custody),
        broken_chains=tuple(sorted(chain.name for chain in chains if chain.faults)),
        honeytokens=(
            tuple(read_stamps(context.data / AUDIT, incident.tenant, incident.origin_label))
            if incident.origin_label
            else ()
        ),
        coverage=(judged.text, judged.more, *((judged.beginning,) if judged.beginning else ())),
        days=tuple(coverage.checks),
        window=(coverage.window.since, coverage.window.until),
        has_authority=bool(context.settings.coverage.timestamp_url),
    )


def _list_originals(context: Context, records: _Records) -> Iterator[SealedOriginal]:
    """Yield each sighting with the digest of its encrypted original, "" if none is here."""
    vault = vault_of(context)
    digests = {
        (item.head.tenant, item.head.finding): item.head.sealed_sha256 for item in vault.scan()[0]
    }
    for sighting in outgoing_sightings(records.sightings, vault):
        digest = digests.get((records.incident.tenant, sighting.id), "")
        yield SealedOriginal(sighting, digest if sighting.is_sealed else "")


def _render_coverage(
    context: Context, coverage: _Coverage, records: _Records, signer: Signer
) -> str:
    zone = ZoneInfo(context.settings.coverage.zone)
    tenant = records.incident.tenant
    language = context.tenant(tenant).language
    organization = format_organizations(context.settings, (tenant,), language)
    origin = ReportOrigin(records.as_of, MAKER, zone, zone.key, language, organization)
    return render_report(coverage.window, coverage.checks, origin, signer)


def _list_public_keys(context: Context, sheets: Iterable[DaySheet]) -> dict[str, str]:
    """Return the public key of each signer of these days, in hex, by its name."""
    public = keys.load_verifier(context.keys, TOPIC).known
    names = {sheet.signer for sheet in sheets}
    return {name: public[name].public_bytes_raw().hex() for name in sorted(names)}


def _custody_lines(custody: Iterable[tuple[str, AuditEntry]]) -> Iterator[bytes]:
    """Yield a line of JSON for each entry: who did what, when, and where the log has it."""
    for chain, entry in custody:
        row = {"chain": chain, **entry.model_dump(mode="json", include=CUSTODY_FIELDS)}
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _to_document(facts: PackageFacts) -> dict[str, object]:
    """Return the facts for programs; `statement` is the place of a statement by statistics."""
    incident = facts.incident
    return {
        "incident": incident.id,
        "as_of": facts.as_of.isoformat(),
        "version": facts.version,
        "rules_sha256": facts.rules_sha256,
        "source": incident.origin_words._asdict(),
        "reasons": [reason._asdict() for reason in incident.origin_evidence],
        "statement": None,
        "counts": {
            "customers": incident.customers,
            "is_lower_bound": incident.is_incomplete,
            "verified": incident.verified,
            "rows": incident.rows,
            "sightings": incident.sightings,
            "gone": incident.gone,
        },
        "sightings": [_sighting_as_json(original) for original in facts.originals],
        "honeytoken_lists": [
            {"sha256": stamp.sha256, "at": stamp.at.isoformat(), "customers": stamp.customers}
            for stamp in facts.honeytokens
        ],
        "broken_audit_logs": list(facts.broken_chains),
        "time_stamping_authority": facts.has_authority,
        "not_examined": [omission._asdict() for omission in list_omissions(facts)],
    }


def _sighting_as_json(original: SealedOriginal) -> dict[str, object]:
    sighting = original.sighting
    return {
        "id": sighting.id,
        "site": sighting.site,
        "collected_at": sighting.at.isoformat(),
        "encrypted_sha256": original.sha256 or None,
    }
