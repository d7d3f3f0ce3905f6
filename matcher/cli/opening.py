"""From a file that was assessed to incidents: what they know of it, and handing it over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from matcher.cli.authentic import outgoing
from matcher.match.capture_result import Reading
from matcher.match.findings import findings_of
from matcher.match.originals import desks, with_original
from matcher.match.pipeline import Matcher
from ullage.bus import FINDINGS
from ullage.errors import UllageError
from ullage.incidents import Earlier, Incidents, Opened
from ullage.records import Finding
from ullage.security import keys
from ullage.settings import Context

NOBODY = "no incident: nothing in it concerns a tenant"


@dataclass(frozen=True, slots=True)
class Before:
    """What incidents know of a file, a tenant whose customers are in it; `why_not` where they could not be asked."""

    known: Mapping[str, Earlier] = field(default_factory=dict)
    why_not: str = ""

    def of(self, tenant: str) -> Earlier | None:
        """What is known of a tenant's customers, None where nobody was asked."""
        return None if self.why_not else self.known.get(tenant, Earlier())


def compared(incidents: Incidents, matcher: Matcher, reading: Reading, context: Context) -> Before:
    """What is known of each tenant's customers in it."""
    known: dict[str, Earlier] = {}
    try:
        for finding in _first_parts(matcher, reading, context):
            known[finding.tenant] = incidents.earlier(finding)
    except UllageError as error:
        return Before(why_not=str(error))
    return Before(known)


def _first_parts(matcher: Matcher, reading: Reading, context: Context) -> Iterator[Finding]:
    """The first record of each tenant's finding: it holds the sketch, and as many customers as are asked for."""
    for finding in findings_of(matcher, reading, context.clock.now()):
        if finding.part == 1 and finding.matches:
            yield finding


def handed_over(matcher: Matcher, reading: Reading, context: Context) -> dict[str, str]:
    """Put what concerns a tenant on the bus, signed by `assess`; the tenants' names by the findings' ids."""
    findings = list(findings_of(matcher, reading, context.clock.now()))
    if not findings:
        return {}
    signer, sealers = keys.signer(context.keys, "assess"), desks(context, {finding.tenant for finding in findings})
    sealed = [with_original(finding, reading, sealers.get(finding.tenant)) for finding in findings]
    with closing(context.bus()) as bus:
        bus.publisher(FINDINGS).append([outgoing(finding, signer) for finding in sealed])
    return {finding.id: finding.tenant for finding in findings}


def opened(incidents: Incidents, handed: Mapping[str, str], seconds: float) -> dict[str, Opened]:
    """What became of what was handed over, a tenant."""
    try:
        found = incidents.folded(handed.keys(), seconds)
    except UllageError as error:
        found = dict.fromkeys(handed, Opened(why_not=f"handed over, and not folded yet: {error}"))
    return {tenant: found[id_] for id_, tenant in handed.items()}
