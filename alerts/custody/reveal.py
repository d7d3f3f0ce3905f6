"""`ullage evidence open` without keys: what was sealed of an incident's posts, shown on purpose, in the audit log before it is.

The addresses of an incident are opened in one step, since a takedown needs them all; a title, an author or members' names one
sighting at a time. Alert watches the log: more reveals by one person in a shift than `originals.alarm_after` raise an alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from alerts.decisions.options import deciding
from alerts.desk.queue import SHIFT
from alerts.read.query import incident_named
from alerts.records import Incident, Original
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import entries
from ullage.custody import originals
from ullage.display.render import moment, safe
from ullage.display.screen import print_row
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.phrase import Phrase
from ullage.security import keys
from ullage.settings import Context

ACTION = "original.reveal"
OfSighting = Annotated[str, typer.Option(metavar="SIGHTING", help="Of this sighting: its id, or how that begins.")]


def reveal(
    context: Context, incident: str, wanted: Sequence[tuple[str, str]], *, case: str, reason: str, as_json: bool, by: str
) -> None:
    """Show the addresses of an incident's posts in clear, each behind its sighting; or the `wanted` field of one sighting."""
    if not context.settings.originals.keep:
        raise ConfigError(Phrase("originals.keep is false: no originals are stored, and none can be revealed"))
    if len(wanted) > 1:
        raise ConfigError("--title, --author and --names are opened one at a time: give one of them")
    field_, of = wanted[0] if wanted else ("url", "")
    with deciding(context, by, "address.reveal") as (store, who):
        found, sealed = _sealed(store, incident, of)
    which = f"sighting {sealed[0].id}" if of else "1 sighting" if len(sealed) == 1 else f"{len(sealed)} sightings"
    said = f"{field_} of {incident}: {which}"
    opened = _opened(context, found.tenant, sealed)
    context.trail().append(ACTION, said, actor=who.name, tenant=found.tenant, reason=f"case {case}: {reason}")
    for one, original in opened:
        text = _text(original, field_)
        if as_json:
            print_row({"sighting": one.id, "seen": one.at.isoformat(), field_: text})
        else:  # as it is: an address that is wrapped cannot be copied
            typer.echo(f"{one.id}  {moment(one.at)}  {safe(text) or '(none)'}")


def addresses(
    context: Context, store: IncidentStore, incident: str, *, by: str, case: str, reason: str, trail: Trail
) -> dict[str, str]:
    """The addresses of an incident's posts in clear, by sighting; in the audit log before they are handed out.

    ConfigError where nothing is sealed of it, or what is sealed is not to be opened here.
    """
    if not context.settings.originals.keep:
        raise ConfigError(Phrase("originals.keep is false: no originals are stored, and none can be revealed"))
    found, sealed = _sealed(store, incident, "")
    opened = _opened(context, found.tenant, sealed)
    said = f"url of {incident}: {len(sealed)} sighting{'s' * (len(sealed) != 1)}"
    trail.append(ACTION, said, actor=by, tenant=found.tenant, reason=f"case {case}: {reason}")
    return {one.id: original.url for one, original in opened}


def _sealed(store: IncidentStore, incident: str, sighting: str) -> tuple[Incident, list[Original]]:
    """The incident and what is sealed of it, or of the one sighting whose id so begins; ConfigError where there is nothing."""
    found = incident_named(store, incident)
    sealed = sorted(store.scroll(Original, DocumentFilter({"incident": found.family})), key=lambda one: (one.at, one.id))
    if sighting:
        sealed = [one for one in sealed if one.id.startswith(sighting)]
    if sighting and len(sealed) > 1:
        raise ConfigError(Phrase("%(count)s sightings begin with this: enter more of the id", count=len(sealed)))
    if not sealed:
        raise ConfigError(
            Phrase("no encrypted original: it is below `low`, past originals.days, or match had no console key (`desk`)")
        )
    return found, sealed


def _opened(context: Context, tenant: str, sealed: list[Original]) -> list[tuple[Original, originals.SealedPost]]:
    """Each in clear; ConfigError for another desk's, CorruptError for what is damaged."""
    opener = keys.desk_opener(context.keys, tenant)
    try:
        return [(one, originals.unseal(one.sealed, one.key_id, opener, tenant, one.id)) for one in sealed]
    except RecordError as error:
        if error.reason == "key_destroyed":
            raise ConfigError(
                Phrase(
                    "it is encrypted for a key other than %(key)s: find out where that key is stored", key=tenant + "/desk.key"
                )
            ) from None
        raise CorruptError(Phrase("the encrypted original is damaged: restore the store from a backup")) from None


def _text(original: originals.SealedPost, field_: str) -> str:
    if field_ == "members":
        return "; ".join(f"{number}: {name}" for number, name in sorted(original.members.items()))
    return str(getattr(original, field_))


@dataclass(slots=True)
class Reveals:
    """How often the busiest person revealed something within a shift, by the audit log on this machine."""

    root: Path
    _stamp: tuple[tuple[str, int], ...] = ()
    _seen: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def of(cls, context: Context) -> Reveals:
        """Of the settings."""
        return cls(context.data / AUDIT)

    def most(self, now: datetime) -> int:
        """The number; the log is read again only when it has changed."""
        stamp = tuple((str(p), p.stat().st_mtime_ns) for p in sorted(self.root.glob("*/*.jsonl")))
        if stamp != self._stamp:
            self._seen = [(entry.at, entry.actor) for _, entry in entries(self.root) if entry.action == ACTION]
            self._stamp = stamp
        return max(Counter(who for at, who in self._seen if at > now - SHIFT).values(), default=0)


def watching(context: Context, told: Callable[[int], None]) -> Callable[[], None]:
    """What tells the number of reveals each time it is called."""
    reveals = Reveals.of(context)
    return lambda: told(reveals.most(context.clock.now()))
