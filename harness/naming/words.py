"""Words with which no function, docstring or variable should begin."""

PARTICIPLES = frozenset(
    "told said seen heard kept held known shown given gone found come came made laid stood spent"
    " left lost met sent spoken written taken drawn thought".split()
)
PLACES = frozenset(
    "within beneath behind beside apart aside together nowhere elsewhere earlier of".split()
)
QUESTIONS = frozenset("what who whose whom where when why how which may".split())
MANNERS = frozenset(
    "barely simply strictly patiently exactly only silently carefully plainly".split()
)
"""Adverbs at the end of a name."""
NOUNS_IN_ED = frozenset("seed feed speed need reed bed embed shed exceed proceed succeed".split())
"""Words that end as a participle does, and are none."""
SENTENCE_STARTS = QUESTIONS | frozenset(
    "the a an of whether each those all one every in as its this that these if for by with from at"
    " no not none nothing some so to it on".split()
)
"""First words of a docstring that describes a thing instead of an action."""
EMPTY = frozenset(
    "found own said told seen some here one ones other others kept left given made held known"
    " taken wanted asked done much many few rest both lot those came stood".split()
)
"""Whole names of variables that do not say what they hold."""


def is_verb(name: str) -> bool:
    """Return whether a function's name may begin with a verb, as far as its words tell."""
    words = name.strip("_").lower().split("_")
    first, last = words[0], words[-1]
    participle = first in PARTICIPLES or (first.endswith("ed") and first not in NOUNS_IN_ED)
    return not (participle or first in PLACES | QUESTIONS or last in MANNERS)
