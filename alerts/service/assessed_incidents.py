"""Answer the questions of `ullage assess` about incidents (`ullage.incidents`).

They are whether a file was seen before, and which incident it led to. The rules are those of alert:
the same customers with the same fields in earlier incidents (`replay`), and the incident that
grouping would add it to. The file is in no incident yet, so any incident with its customers counts
as earlier.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from alerts.cases.incident_list import find_results, wait_for
from alerts.grouping import exposures, placement
from alerts.grouping.placement import KnownIncident, find_holdings
from alerts.records import Exposure, Incident
from alerts.store import DocumentFilter, IncidentStore, open_configured_store
from alerts.store.queries import UNDECIDED, statuses
from ullage import log
from ullage.errors import ConfigError
from ullage.files.atomic_write import HeldError
from ullage.incidents import IncidentHistory, IncidentReference
from ullage.records import Finding
from ullage.settings import Context

EMBEDDED = "sqlite:///"
WAITED = (
    "submitted, but not processed yet: is `ullage alert` running? It will appear in `ullage"
    " incidents list`"
)
REFUSED = "alert did not take it: `ullage dead-letters` says why"


@contextlib.contextmanager
def assessed(context: Context, *, to_open: bool = False) -> Iterator[AssessedIncidents]:
    """Open the configured store for `assess`.

    Raises ConfigError where there is none yet, unless something is `to_open`.
    """
    context.require_data()
    url = context.settings.store.url
    if (
        url.startswith(EMBEDDED)
        and not to_open
        and not (context.data / url.removeprefix(EMBEDDED)).is_file()
    ):
        raise ConfigError("no incident is stored here yet; start `ullage alert` to store them")
    with contextlib.closing(open_configured_store(context)) as store:
        yield AssessedIncidents(context, store)


@dataclass(frozen=True, slots=True)
class AssessedIncidents:
    """The questions of `assess`; see `ullage.incidents.Incidents`."""

    context: Context
    store: IncidentStore

    def find_history(self, finding: Finding) -> IncidentHistory:
        """Return how much of a finding earlier incidents hold; see `ullage.incidents`.

        Only a sample of its customers is compared. Writes nothing.
        """
        compared = self.store.count(Incident, DocumentFilter({"tenant": (finding.tenant,)}))
        exposures_by_subject: exposures.Seen = {
            subject: {} for subject in exposures.sample_customers(finding)
        }
        if exposures_by_subject:
            exposures.remember(
                exposures_by_subject,
                self.store.scroll(
                    Exposure,
                    DocumentFilter(
                        {"tenant": (finding.tenant,), "subject": tuple(exposures_by_subject)}
                    ),
                ),
            )
        holders = find_holdings(self.store, placement.list_content_claims(finding))
        stored = self.store.mget(
            Incident, {holding.incident for holding in holders.values() if holding.incident}
        )
        incidents = {id_: KnownIncident.from_incident(incident) for id_, incident in stored.items()}
        where = placement.place(finding, holders, incidents)
        before = exposures.measure_replay(
            finding,
            (),
            exposures_by_subject,
            [incidents[id_] for id_ in where.linked if incidents[id_].frozen],
        )
        is_decided = (
            bool(before.of)
            and statuses(self.store, [before.of]).get(before.of, UNDECIDED) != UNDECIDED
        )
        return IncidentHistory(
            before.share, before.of, "" if where.opens else where.incident, compared, is_decided
        )

    def wait_until_grouped(
        self, findings: Collection[str], seconds: float
    ) -> dict[str, IncidentReference]:
        """Wait until findings are grouped into incidents; return one result per finding id.

        With the embedded bus, the findings may be grouped by this call. The wait ends after
        `seconds`. A finding that is still in no incident gives a result that says why.
        """
        references, why = find_results(self.store, findings), WAITED
        if len(references) < len(findings) and self._is_embedded and self._group_due():
            references, why = find_results(self.store, findings), REFUSED
        elif len(references) < len(findings):
            references = wait_for(self.store, self.context.clock, findings, seconds)
        return {id_: references.get(id_) or IncidentReference(why_not=why) for id_ in findings}

    @property
    def _is_embedded(self) -> bool:
        """Whether bus and store are local files, which only one process at a time consumes."""
        return self.context.settings.bus.url.startswith(
            EMBEDDED
        ) and self.context.settings.store.url.startswith(EMBEDDED)

    def _group_due(self) -> bool:
        """Group what is due, as `ullage alert --once` does; return whether that was done.

        False where a running process does so already. The log's level is "warning" meanwhile.
        """
        from alerts.service.process import run_alert  # noqa: PLC0415  the whole stage

        log.configure("warning")  # that the stage starts and stops is no news here
        try:
            run_alert(self.context, once=True)
        except HeldError:
            return False
        finally:
            log.configure(self.context.settings.log_level)
        return True
