"""Compare what the product found with what was planted, through its own command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deploy.demo.plant import CHAT, PRESETS, Plan

Run = Callable[..., str]
"""Runs `ullage` with words (and text for its standard input) and returns what it printed."""
SHOWN = 5


def found_exposures(
    run: Run, incidents: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return the kinds and sites of each exposed customer, by customer reference.

    All incidents are combined. Pseudonyms are resolved by the command that an officer would use,
    which the audit log records; one that has no reference stays a pseudonym. {} without incidents.
    """
    kinds: dict[str, set[str]] = {}
    sites: dict[str, set[str]] = {}
    shown = (
        run("incidents", "show", *(incident["id"] for incident in incidents), "--json")
        if incidents
        else ""
    )
    for line in shown.splitlines():
        for exposure in json.loads(line)["exposures"]:
            kinds.setdefault(exposure["pseudonym"], set()).update(exposure["kinds"])
            sites.setdefault(exposure["pseudonym"], set()).update(exposure["sites"])
    words = ("subjects", "resolve", "-", "--case", "DEMO-1", "--reason", "the demo checks itself")
    table = csv.DictReader(run(*words, text="\n".join(kinds)).splitlines()) if kinds else ()
    reference = {row["handle"]: row["customer_ref"] for row in table}
    return {reference.get(h, h): (frozenset(kinds[h]), frozenset(sites[h])) for h in kinds}


def differences(plan: Plan, run: Run, incidents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each difference between the planted and the found exposures and sightings.

    No line means that they are equal. Of lost and of false customers at most SHOWN (5) are named,
    of those that differ the first.
    """
    expected, found = plan.expected, found_exposures(run, incidents)
    for reference in sorted(expected.keys() - found.keys())[:SHOWN]:
        yield (
            f"lost: customer {reference} was planted on {_words(expected[reference][1])} and is not"
            " found"
        )
    for reference in sorted(found.keys() - expected.keys())[:SHOWN]:
        yield (
            f"false: customer {reference} was not planted and is found on"
            f" {_words(found[reference][1])}"
        )
    for reference in sorted(expected.keys() & found.keys()):
        if expected[reference] != found[reference]:
            wanted, got = (
                " ".join(map(_words, pair)) for pair in (expected[reference], found[reference])
            )
            yield f"differs: customer {reference} was planted as {wanted} and is found as {got}"
            break
    sightings = sum(incident["sightings"] for incident in incidents)
    if sightings != plan.sightings:
        yield (
            f"differs: {plan.sightings} posts give customers away, {sightings} sightings are stored"
        )
    counted = sum(
        json.loads(line)["posts"]
        for line in run("incidents", "suppressions", "--background", "--json").splitlines()
    )
    if counted != plan.background:
        yield (
            f"differs: {plan.background} posts hold one customer's own number, {counted} are"
            " counted as benign"
        )


def ways(plan: Plan, run: Run, chat: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each place that was not read completely in the way that users read it.

    Sites are read by presets, and the chat by a collector.
    """
    told = {row["site"]: row for row in map(json.loads, run("sites", "--json").splitlines())}
    for name, preset in PRESETS.items():
        row, posted = told.get(name, {}), sum(post.site == name for post in plan.posts)
        seen = (row.get("platform"), row.get("state"), row.get("posts"))
        if seen != (preset, "ok", posted):
            yield (
                f"differs: {posted} posts are on {name}; by preset, state and posts it was read as"
                f" {seen}"
            )
    said, read = (
        sum(post.site == CHAT for post in plan.posts),
        (chat.get("service"), chat.get("state"), chat.get("messages")),
    )
    if read != ("matrix", "ok", said):
        yield (
            f"differs: {said} messages were said in {CHAT}; by service, state and messages it was"
            f" read as {read}"
        )


def _words(names: frozenset[str]) -> str:
    return "+".join(sorted(names))
