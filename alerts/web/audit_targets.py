"""Show the targets of audit entries in the reader's language.

A target is stored as one English text, because the digest of its entry covers it. For a Chinese
reader the text is compared with the forms below, and the translation of its form is shown with the
same values. A text that has no form is shown as it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from alerts.cases.actions import STATES
from alerts.deadlines.render import STAGES, name_regime, name_report
from alerts.translation import KIND, ROLE, STATUS, translated
from ullage.phrase import mark_for_translation

SCOPES = (
    mark_for_translation("%(roles)s of all tenants"),
    mark_for_translation("%(roles)s of %(tenants)s"),
)
"""Roles or permissions, with the tenants for which they are granted."""
CONDITIONS = (
    mark_for_translation("site %(site)s"),
    mark_for_translation("channel %(channel)s"),
    mark_for_translation("author %(author)s"),
    mark_for_translation("rule %(rule)s"),
    mark_for_translation("incident %(incident)s"),
)
"""Conditions of a suppression."""
ANSWERS = (
    mark_for_translation("not found"),
    mark_for_translation("found in 1 incident"),
    mark_for_translation("found in %(count)s incidents"),
    mark_for_translation("not found, recorded"),
    mark_for_translation("not found, not recorded"),
    mark_for_translation("found in 1 incident, recorded"),
    mark_for_translation("found in 1 incident, not recorded"),
    mark_for_translation("found in %(count)s incidents, recorded"),
    mark_for_translation("found in %(count)s incidents, not recorded"),
)
"""Answers to a lookup."""
RESULTS = (
    mark_for_translation("%(count)s exposed"),
    mark_for_translation("not answered: %(error)s"),
)
"""Results of a screening."""
REFUSALS = (
    mark_for_translation("account %(name)s: %(why)s"),
    mark_for_translation("somebody without an account: %(why)s"),
    mark_for_translation("the provider did not log somebody in"),
    mark_for_translation("the answer is another issuer's, or says none"),
    mark_for_translation("userinfo is of another subject than the ID token"),
    mark_for_translation("the provider did not take the code, or not this client"),
    mark_for_translation("no ID token"),
    mark_for_translation("ID token: expired"),
    mark_for_translation("ID token: not as it must be"),
    mark_for_translation("ID token: %(error)s"),
    mark_for_translation("state: unknown, already used, or too old"),
    mark_for_translation("state: begun in another browser"),
)
"""Reasons why a login through the identity provider was refused."""
WHYS = (
    mark_for_translation("is closed"),
    mark_for_translation("no group that grants anything here"),
    mark_for_translation(
        "these groups grant different roles for different tenants: give one account"
        " the same roles for all its tenants"
    ),
    mark_for_translation(
        "the same person cannot be %(one)s and %(other)s: remove one of the two roles"
    ),
    mark_for_translation("claim %(claim)s has no name that can be one here"),
    mark_for_translation("the name is taken, and not by the subject that came"),
)
"""Reasons why an account was refused."""
TARGETS = (
    mark_for_translation("%(target)s, decided by one person"),
    mark_for_translation("%(target)s, confirmed by %(by)s"),
    mark_for_translation("%(target)s; it ends %(reports)s and waits for a second person"),
    mark_for_translation("account %(name)s"),
    mark_for_translation("account %(name)s by %(login)s"),
    mark_for_translation("account %(name)s: %(scope)s"),
    mark_for_translation("account %(name)s: %(scope)s, the first one"),
    mark_for_translation("account %(name)s: %(scope)s; by its groups"),
    mark_for_translation("account %(name)s: %(scope)s; by a subject"),
    mark_for_translation("account %(name)s: %(scope)s; before: %(former)s"),
    mark_for_translation("account %(name)s: changed by its person"),
    mark_for_translation("account %(name)s: its sessions end"),
    mark_for_translation("account %(name)s: %(why)s"),
    mark_for_translation("account %(name)s: wrong password, or one that ran out unused"),
    mark_for_translation("account %(name)s: too many attempts"),
    mark_for_translation("account %(name)s: user %(user)s of this machine"),
    mark_for_translation("account %(name)s: no user of this machine"),
    mark_for_translation("a name that is none"),
    mark_for_translation("a name that is none: too many attempts"),
    mark_for_translation("identity provider: %(refusal)s"),
    mark_for_translation("token %(id)s of %(name)s"),
    mark_for_translation("token %(id)s of %(name)s: %(scope)s"),
    mark_for_translation("a token that is none, expired or was revoked"),
    mark_for_translation("incident %(incident)s: %(status)s"),
    mark_for_translation("incident %(incident)s: %(outcome)s"),
    mark_for_translation("incident %(incident)s: %(language)s"),
    mark_for_translation("incident %(incident)s: %(target)s"),
    mark_for_translation("incident %(incident)s: assigned"),
    mark_for_translation("incident %(incident)s: assigned %(name)s"),
    mark_for_translation("incident %(incident)s: due"),
    mark_for_translation("incident %(incident)s: takedown %(takedown)s"),
    mark_for_translation("incident %(incident)s: detached %(sighting)s"),
    mark_for_translation("incident %(incident)s: linked %(other)s"),
    mark_for_translation("incident %(incident)s: unlinked %(other)s"),
    mark_for_translation("incident %(incident)s: merged %(other)s"),
    mark_for_translation("incident %(incident)s: merged_into %(other)s"),
    mark_for_translation("incident %(incident)s: split %(other)s"),
    mark_for_translation("incident %(incident)s: split_from %(other)s"),
    mark_for_translation("incident %(incident)s: excused"),
    mark_for_translation("incident %(incident)s: returned expired"),
    mark_for_translation("incident %(incident)s: returned grown"),
    mark_for_translation("incident %(incident)s: undone assigned %(entry)s"),
    mark_for_translation("incident %(incident)s: undone due %(entry)s"),
    mark_for_translation("incident %(incident)s: undone linked %(entry)s"),
    mark_for_translation("incident %(incident)s: undone unlinked %(entry)s"),
    mark_for_translation("incident %(incident)s: references_asked %(count)s case %(case)s"),
    mark_for_translation("incident %(incident)s: references_approved %(entry)s"),
    mark_for_translation("incident %(incident)s: references_refused %(entry)s"),
    mark_for_translation("incident %(incident)s: second_confirmed %(entry)s"),
    mark_for_translation("incident %(incident)s: second_refused %(entry)s"),
    mark_for_translation("incident %(incident)s: telling approved"),
    mark_for_translation("incident %(incident)s: telling withdrawn"),
    mark_for_translation("incident %(incident)s: %(regime)s applies"),
    mark_for_translation("incident %(incident)s: %(regime)s waived"),
    mark_for_translation("incident %(incident)s: reported under %(regime)s, %(stage)s report"),
    mark_for_translation("incident %(incident)s: notification draft, %(form)s, %(language)s"),
    mark_for_translation("incident %(incident)s: evidence package, SHA-256 %(digest)s"),
    mark_for_translation("incident %(incident)s: %(count)s pseudonyms"),
    mark_for_translation(
        "incident %(incident)s: %(count)s pseudonyms, %(references)s references, case %(case)s"
    ),
    mark_for_translation("incidents as %(form)s"),
    mark_for_translation("%(count)s incidents as %(form)s"),
    mark_for_translation("suppression %(id)s"),
    mark_for_translation("handover %(id)s"),
    mark_for_translation("handover %(id)s to %(name)s"),
    mark_for_translation("suppression %(id)s for %(days)s days: %(conditions)s"),
    mark_for_translation(
        "rules %(kind)s version %(version)s instead of %(before)s, SHA-256 %(digest)s"
    ),
    mark_for_translation(
        "reporting deadlines of %(tenants)s are decided by one person (second_person = false)"
    ),
    mark_for_translation(
        "%(file)s: second_person = false, reporting deadlines are decided by one person"
    ),
    mark_for_translation("coverage %(id)s: all sites, %(since)s to %(until)s"),
    mark_for_translation("coverage %(id)s: %(site)s, %(since)s to %(until)s"),
    mark_for_translation("%(values)s: %(answer)s"),
    mark_for_translation("%(values)s and a customer pseudonym: %(answer)s"),
    mark_for_translation("no identifier: refused"),
    mark_for_translation("not answered: %(error)s"),
    mark_for_translation("refused from here on"),
    mark_for_translation("%(many)s different values of one range within an hour, %(kind)s"),
    mark_for_translation("%(count)s found"),
    mark_for_translation("%(handles)s pseudonyms, %(hashes)s keyed hashes: %(result)s"),
    mark_for_translation("finding %(finding)s"),
    mark_for_translation("incident %(incident)s: 1 finding"),
    mark_for_translation("incident %(incident)s: %(count)s findings"),
    mark_for_translation("finding %(finding)s, keys of %(officer)s and %(colleague)s"),
    mark_for_translation("%(field)s of %(incident)s: 1 sighting"),
    mark_for_translation("%(field)s of %(incident)s: %(count)s sightings"),
    mark_for_translation("%(field)s of %(incident)s: sighting %(sighting)s"),
    mark_for_translation("%(size)s bytes, %(type)s: exposed"),
    mark_for_translation("%(size)s bytes, %(type)s: nobody"),
    mark_for_translation("%(size)s bytes, %(type)s: no verdict"),
    mark_for_translation("%(count)s pseudonyms of an uploaded file"),
    mark_for_translation("1 finding of a dropped file"),
    mark_for_translation("%(count)s findings of a dropped file"),
    mark_for_translation("key generation %(epoch)s"),
    mark_for_translation("key generation %(epoch)s, %(customers)s customers"),
    mark_for_translation(
        "key generation %(epoch)s, %(customers)s customers, %(witnesses)s private attributes"
    ),
    mark_for_translation("%(target)s, and the customer registry"),
    mark_for_translation("a list built on another host"),
    mark_for_translation(
        "transfers: %(recipients)s recipients, %(count)s customers, %(refused)s lines refused"
    ),
    mark_for_translation("source from %(count)s victims: named"),
    mark_for_translation("source from %(count)s victims: indication"),
    mark_for_translation("source from %(count)s victims: several explain it"),
    mark_for_translation("source from %(count)s victims: none of these"),
    mark_for_translation("source from %(count)s victims: cannot tell"),
    mark_for_translation("source from fewer than 20 victims: cannot tell"),
    mark_for_translation("key generation %(number)s is opened"),
    mark_for_translation("key generation %(number)s is destroyed"),
    mark_for_translation("index key generation %(number)s is opened"),
    mark_for_translation("index key generation %(number)s is destroyed"),
    mark_for_translation("%(target)s, early"),
    mark_for_translation(
        "case %(case)s, incident %(incident)s: %(count)s pseudonyms requested,"
        " %(found)s found, approved by %(people)s"
    ),
    mark_for_translation(
        "case %(case)s, incident %(incident)s: %(count)s pseudonyms requested, beyond"
        " %(budget)s a day"
    ),
    mark_for_translation("case %(case)s: %(count)s pseudonyms requested, %(found)s found"),
    mark_for_translation("honeytokens of %(party)s: %(count)s customers, sha256 %(digest)s"),
    mark_for_translation("deletion mark %(mark)s"),
    mark_for_translation("deletion mark %(mark)s: %(count)s removed, proof sha256 %(digest)s"),
    mark_for_translation("deletion mark %(mark)s: %(count)s that came after it are removed"),
    mark_for_translation("the data folder"),
    mark_for_translation("the data folder, and its keys apart"),
    mark_for_translation("the wall clock is right: %(time)s, %(hours)s h from running time"),
    mark_for_translation("the wall clock is right: %(time)s, the record of the clocks was damaged"),
    mark_for_translation("part %(parts)s"),
    mark_for_translation(
        "chain %(chain)s: entries %(first)s to %(last)s were written before and are gone"
    ),
    mark_for_translation(
        "chain %(chain)s: its high-water mark was taken away after entry %(last)s or before"
    ),
    mark_for_translation(
        "chain %(chain)s: it is gone with its high-water mark, and how long it was is not known"
    ),
    mark_for_translation("the identity provider's address is not valid"),
    mark_for_translation("the identity provider is slow, and other logins are waiting for it"),
    mark_for_translation("the identity provider takes too long"),
    mark_for_translation("the identity provider cannot be reached (%(error)s)"),
    mark_for_translation("the identity provider answers %(code)s"),
    mark_for_translation("the identity provider's answer is too long, or takes too long"),
    mark_for_translation("the identity provider did not answer with a JSON object"),
    mark_for_translation(
        "the identity provider's issuer differs from search.oidc.issuer: copy it exactly"
    ),
    mark_for_translation("the identity provider's %(name)s is not an https address"),
    mark_for_translation("the identity provider publishes no signing key"),
)
"""Everything that an entry can be about."""
WORDS: Mapping[str, Mapping[str, str]] = {
    "field": {
        "url": mark_for_translation("address of a post"),
        "title": mark_for_translation("title of a post"),
        "author": mark_for_translation("author of a post"),
        "members": mark_for_translation("file names of a post"),
    },
    "language": {
        "zh": mark_for_translation("in Chinese"),
        "en": mark_for_translation("in English"),
        "both": mark_for_translation("in Chinese and English"),
    },
    "login": {
        "password": mark_for_translation("by password"),
        "the identity provider": mark_for_translation("by the identity provider"),
    },
    "outcome": {
        "loss": mark_for_translation("money was lost"),
        "prevented": mark_for_translation("fraud was prevented"),
        "none": mark_for_translation("there was no fraud"),
    },
}
"""Words that stand for a placeholder, with a text for each."""
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
Translate = Callable[[str], str]


def translate_target(target: str, translate: Translate) -> str:
    """Return the target of an audit entry translated, or unchanged if its form is unknown.

    `translate` returns the translation of a message.

    >>> translate_target("the data folder", {"the data folder": "数据目录"}.__getitem__)
    '数据目录'
    """
    return _translate_form(target, TARGETS, translate) or target


def _translate_form(text: str, forms: tuple[str, ...], translate: Translate) -> str | None:
    """Return the translation of the first form that `text` has, None if it has none."""
    for form in _sort(forms):
        values = _match(text, form)
        shown = (
            {name: _translate_value(name, value, translate) for name, value in values.items()}
            if values is not None
            else {"": None}
        )
        if None not in shown.values():
            return translate(form) % shown if shown else translate(form)
    return None


@cache
def _sort(forms: tuple[str, ...]) -> list[str]:
    """Return `forms` in the order in which they are tried.

    Those that add to another target come first, then those with most text of their own.
    """
    return sorted(
        forms,
        key=lambda form: (not form.startswith("%(target)s"), -len(_PLACEHOLDER.sub("", form))),
    )


def _match(text: str, form: str) -> dict[str, str] | None:
    """Return the values of a form's placeholders in `text`, None if it has another form.

    A value ends before the first occurrence of the text that follows its placeholder. A placeholder
    without any text counts as another form.
    """
    first, *parts = _PLACEHOLDER.split(form)
    names, literals = parts[::2], parts[1::2]
    if not text.startswith(first) or not text.endswith(literals[-1] if literals else first):
        return None
    values, unread = dict[str, str](), text[len(first) :]
    for name, literal in zip(names[:-1], literals[:-1], strict=True):
        values[name], _, unread = unread.partition(literal)
    if names:
        values[names[-1]] = unread.removesuffix(literals[-1])
    elif unread:
        return None
    return values if all(values.values()) else None


def _translate_value(name: str, value: str, translate: Translate) -> str | None:
    """Return the value of a placeholder as it is shown, None if it cannot be one."""
    if name in WORDS:
        return translate(WORDS[name][value]) if value in WORDS[name] else None
    if name in TRANSLATORS:
        return TRANSLATORS[name](value, translate)
    return None if ": " in value or "; " in value else value


def _translate_all(values: Iterable[str | None]) -> str | None:
    """Return a Chinese list of texts, None if one of them is missing."""
    listed = list(values)
    return None if None in listed else "、".join(text for text in listed if text)


def _translate_tagged_values(text: str) -> str | None:
    """Return the kinds and keyed hashes that somebody looked up, None if they are not such."""
    pairs = [item.partition(" ") for item in text.split(", ")]
    return _translate_all(
        f"{KIND[kind]} {tag}" if kind in KIND and tag else None for kind, _, tag in pairs
    )


def _translate_list(forms: tuple[str, ...]) -> Callable[[str, Translate], str | None]:
    """Return a translator of lists whose items have one of `forms`."""
    return lambda text, translate: _translate_all(
        _translate_form(item, forms, translate) for item in text.split(", ")
    )


def _translate_one(forms: tuple[str, ...]) -> Callable[[str, Translate], str | None]:
    """Return a translator of texts that have one of `forms`."""
    return lambda text, translate: _translate_form(text, forms, translate)


TRANSLATORS: Mapping[str, Callable[[str, Translate], str | None]] = {
    "answer": _translate_one(ANSWERS),
    "conditions": _translate_list(CONDITIONS),
    "former": _translate_one(SCOPES),
    "one": lambda role, _: ROLE.get(role, role),
    "other": lambda role, _: ROLE.get(role, role),
    "kind": lambda kind, _: KIND.get(kind, kind),
    "parts": lambda parts, _: parts.replace(", ", "、"),
    "people": lambda people, _: people.replace(" and ", "、"),
    "refusal": _translate_one(REFUSALS),
    "regime": lambda id_, translate: translated(name_regime(id_), translate),
    "reports": lambda names, translate: _translate_all(
        translated(name_report(name), translate) for name in names.split(", ")
    ),
    "result": _translate_one(RESULTS),
    "roles": lambda roles, _: "、".join(ROLE.get(role, role) for role in roles.split(", ")),
    "scope": _translate_one(SCOPES),
    "stage": lambda stage, translate: translate(STAGES[stage][0]) if stage in STAGES else None,
    "status": lambda status, _: STATUS.get(status),
    "takedown": lambda state, translate: (
        translated(STATES[state], translate) if state in STATES else None
    ),
    "target": lambda text, translate: _translate_form(text, TARGETS, translate),
    "tenants": lambda tenants, _: tenants.replace(", ", "、"),
    "type": lambda ending, translate: (
        translate(mark_for_translation("another kind")) if ending == "other" else ending
    ),
    "values": lambda text, _: _translate_tagged_values(text),
    "why": _translate_one(WHYS),
}
"""How the values of placeholders are shown; any other value is shown as it is."""
