"""What the navigation leads to: a page names its entry as `MENU`, and stands in it by being there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alerts.accounts.roles import Principal
from ullage.phrase import Phrase

Group = Literal["work", "proof", "state"]
GROUPS: dict[Group, Phrase] = {
    "work": Phrase("Work"),
    "proof": Phrase("Coverage"),
    "state": Phrase("Administration"),
}


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A place in the navigation, for whoever has all that `needs` names, with spaces between.

    `order` is ascending within its group, `also` are paths below it.
    """

    path: str
    name: Phrase
    needs: str
    group: Group
    order: int
    also: tuple[str, ...] = ()

    def holds(self, place: str) -> bool:
        """Whether a place of the desk (path and query) lies below this entry."""
        path = place.partition("?")[0]
        return path == self.path or path.startswith(tuple(f"{one}/" for one in (self.path, *self.also) if one != "/"))


def menu(entries: tuple[MenuEntry, ...], principal: Principal) -> list[tuple[Phrase, list[MenuEntry]]]:
    """What `principal` may go to, by group."""
    mine = sorted((one for one in entries if all(map(principal.may, one.needs.split()))), key=lambda one: one.order)
    groups = [(name, [one for one in mine if one.group == group]) for group, name in GROUPS.items()]
    return [(name, ours) for name, ours in groups if ours]
