"""Record the fraud cases that the host of the customer list imports, and list them for a statement.

`ullage.incidents` declares it. Cases come and go by pseudonym; references and the customer list are
never here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from alerts.cases.fraud_cases import FraudCases, FraudReport, find_last_reports
from alerts.cli import deciding
from alerts.records import Band, Fraud, FraudCase
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.errors import ConfigError, RecordError
from ullage.incidents import ReportedCase
from ullage.settings import Context

EMBEDDED = "sqlite:///"


@contextlib.contextmanager
def connect(
    context: Context, *, to_record: bool = False, by: str = ""
) -> Iterator[StoredFraudCases]:
    """Open the configured store for `ullage.incidents.connect_fraud_cases`.

    Raises ConfigError where there is no store yet: cases in a store that no alert reads would be
    lost without a word. Raises ForbiddenError if the account lacks the permission.
    """
    context.require_data()
    url = context.settings.store.url
    if url.startswith(EMBEDDED) and not (context.data / url.removeprefix(EMBEDDED)).is_file():
        raise ConfigError(
            "no incident store is on this host: start `ullage alert` here once, or set store.url"
            " to the store that alert uses"
        )
    permission = "outcome.report" if to_record else "incident.read"
    with deciding(context, by, permission) as (store, principal):
        yield StoredFraudCases(store, context.trail(), principal.name)


@dataclass(frozen=True, slots=True)
class StoredFraudCases:
    """The fraud cases of the store; see `ullage.incidents.ReportedCases`."""

    store: IncidentStore
    trail: Trail
    actor: str

    def record(self, tenant: str, case: ReportedCase) -> bool:
        """Store a case without an incident; see `ullage.incidents`.

        Raises RecordError if the case is refused.
        """
        outcome = next((option for option in get_args(Fraud) if option == case.outcome), None)
        if outcome is None:
            raise RecordError("invalid", f"outcome must be one of {', '.join(get_args(Fraud))}")
        band = next((option for option in get_args(Band) if option == case.band), None)
        if case.band and band is None:
            raise RecordError("invalid", f"amount_band must be one of {', '.join(get_args(Band))}")
        report = FraudReport(
            tenant,
            case.subject,
            outcome,
            case.first_contact,
            scam=case.scam,
            known_fields=case.known_fields,
            band=band,
        )
        try:
            return FraudCases(self.store, self.trail).record(report, self.actor)
        except QueryError as error:
            raise RecordError("invalid", str(error)) from None

    def list_cases(self, tenant: str) -> list[ReportedCase]:
        """Return the cases without an incident; see `ullage.incidents`."""
        where = DocumentFilter({"tenant": (tenant,), "incident": ("",)})
        cases = [case for case in self.store.scroll(FraudCase, where) if case.subject]
        first = dict[str, tuple[str, str]]()
        for case in cases:
            key = (case.at.isoformat(), case.id)
            first[case.subject] = min(key, first.get(case.subject, key))
        last = sorted(find_last_reports(cases), key=lambda case: first[case.subject])
        return [
            ReportedCase(
                case.subject, case.first_contact, case.outcome, case.scam, case.known_fields,
                case.band,
            )
            for case in last
            if case.outcome != "none"
        ]  # fmt: skip
