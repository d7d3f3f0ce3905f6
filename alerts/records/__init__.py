"""Collect the documents of the incident store, one class each.

Match sends a *finding* for each post with customers of a tenant. Alert stores it as a `Sighting`,
groups sightings that belong together into an `Incident`, and writes one `Exposure` for each
customer in it. People add `Decision`s, which are never changed. A *projection* is computed from
other documents and can be computed again. Each class declares how a store indexes it
(`alerts.records.document`), so a store knows none of them.

    class               id                                written by
    Sighting            the finding's id                  alert
    Exposure            incident:subject                  alert
    Background          the finding's id                  alert (a benign post)
    Original            the finding's id                  alert, encrypted
    Claim               tenant:of:value                   alert
    Holding             tenant:incident:digest            alert, append-only
    Presence            tenant:token of a post            alert
    KeyCheck            the key's name                    alert
    CollectorHeartbeat  a crawl host's name               alert
    SiteDay             day:site                          alert
    DaySheet            day:number                        alert, append-only
    GapReason           GAP-…                             a command, append-only
    Incident            INC-…, of its first finding       alert (a projection)
    Decision            incident:form token               search, append-only
    PendingDecision     the id of its first decision      search and alert, append-only
    Suppression         SUP-…; SUP-…:lifted               search, append-only
    Hold                incident:time                     a command, append-only
    FraudCase           tenant:incident:subject:digest    search, append-only
    ShiftHandover       HND-…; HND-…:accepted             search, append-only
    Audit               random                            search, append-only
    Notification        incident:channel:what             alert
    WorkItem            the incident's id                 alert and search (a projection)
    DutyRecord          incident:regime:stage             alert (a projection)
    DutiesKnown         one document                      alert
"""

from alerts.records.coverage import DaySheet, GapReason, SiteDay
from alerts.records.decision import (
    Audit,
    Decision,
    FraudCase,
    Hold,
    Notification,
    PendingDecision,
    ShiftHandover,
    Suppression,
)
from alerts.records.document import (
    SEVERITIES,
    STATUSES,
    Act,
    Band,
    Document,
    Fraud,
    News,
    Sketched,
    Status,
)
from alerts.records.incident import (
    HEARD,
    DutiesKnown,
    DutyRecord,
    Incident,
    IncidentReason,
    WorkItem,
    clock_of,
    incident_id,
)
from alerts.records.sighting import (
    Background,
    Claim,
    CollectorHeartbeat,
    Exposure,
    Holding,
    KeyCheck,
    Original,
    PostRemoval,
    Presence,
    Sighting,
    build_holding,
    claim_id,
    exposure_id,
    presence_id,
)
from ullage.files.database import SCHEMAS
from ullage.verdict.rules import ClockWord, Origin, Recipient, Severity

__all__ = [
    "CLASSES",
    "HEARD",
    "SEVERITIES",
    "STATUSES",
    "VERSION",
    "Act",
    "Audit",
    "Background",
    "Band",
    "Claim",
    "ClockWord",
    "CollectorHeartbeat",
    "DaySheet",
    "Decision",
    "DutiesKnown",
    "DutyRecord",
    "Exposure",
    "Fraud",
    "FraudCase",
    "GapReason",
    "Hold",
    "Holding",
    "Incident",
    "IncidentReason",
    "KeyCheck",
    "News",
    "Notification",
    "Origin",
    "Original",
    "PendingDecision",
    "PostRemoval",
    "Presence",
    "Recipient",
    "Severity",
    "ShiftHandover",
    "Sighting",
    "SiteDay",
    "Sketched",
    "Status",
    "Suppression",
    "WorkItem",
    "build_holding",
    "claim_id",
    "clock_of",
    "exposure_id",
    "incident_id",
    "presence_id",
]  # fmt: skip

CLASSES: tuple[type[Document], ...] = (
    Sighting, Exposure, Background, Claim, Incident, Decision,
    Suppression, Hold, Audit, Notification, Original, KeyCheck, CollectorHeartbeat,
    SiteDay, GapReason, DaySheet, WorkItem, Presence, FraudCase, DutyRecord, DutiesKnown,
    Holding,
    PendingDecision, ShiftHandover,
)  # fmt: skip
VERSION = SCHEMAS["incidents"]
"""Version of the classes and their filters.

Raise it when a class is added or its filters change. A store of another version is refused.
"""
