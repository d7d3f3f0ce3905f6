"""The messages of the desk, as its templates and its Python name them: `make messages` brings the
catalogue up to date.

What is new in it is empty then, and what is gone is gone; `tests/alerts/test_messages.py` fails on
what is empty, fuzzy or gone.
"""

import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "alerts" / "locale" / "zh" / "LC_MESSAGES" / "desk.po"
JINJA = {
    "extensions": "jinja2.ext.i18n",
    "trimmed": "true",
    "silent": "false",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
}
METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {METHODS[0][0]: JINJA}
KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "Phrase": None,
    "mark_for_translation": None,
    "QueryError": None,
    "LimitedError": None,
}
"""A literal that one of these is given is a message.

Errors that people of the desk make are shown on it.
"""


def messages() -> Catalog:
    """Return all messages of the console with their places."""
    catalogue = Catalog()
    for folder in ("alerts", "ullage"):
        for name, _, message, _, context in extract_from_dir(
            ROOT / folder, METHODS, OPTIONS, KEYWORDS
        ):
            catalogue.add(message, locations=[(f"{folder}/{name}", 0)], context=context)
    return catalogue


def read_catalogue() -> Catalog:
    """Return the stored catalogue."""
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh")


def main() -> None:
    """Bring it up to date."""
    catalogue = read_catalogue()
    catalogue.update(messages(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with CATALOGUE.open("wb") as file:
        write_po(file, catalogue, width=120, omit_header=True, sort_output=True, no_location=True)
    empty = [message.id for message in catalogue if message.id and not message.string]
    sys.stdout.write("".join(f"{name}\n" for name in empty) or "whole\n")


if __name__ == "__main__":
    main()
