"""What Presidio finds: run by a Python that has presidio-analyzer, see `recall`.

Reads a JSON list of texts and writes for each the entities that Presidio's own recognizers find.
They are called directly, without a language model; its phone recognizer is told that numbers may be
of mainland China.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

REGIONS = ("CN", "US", "UK", "DE", "FR", "IL", "IN", "CA", "BR")
ENTITIES = {
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
}


def presidio() -> Callable[[str], Iterator[str]]:
    """Return a function that yields the kind of each entity that Presidio finds in a text."""
    import tldextract.tldextract
    from presidio_analyzer import predefined_recognizers as known

    # its bundled list
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    phones = known.PhoneRecognizer(supported_regions=REGIONS)
    recognizers: list[Any] = [
        known.CreditCardRecognizer(),
        known.EmailRecognizer(),
        known.IbanRecognizer(),
        phones,
    ]

    def find(text: str) -> Iterator[str]:
        for recognizer in recognizers:
            for result in recognizer.analyze(text, recognizer.supported_entities, None):
                if result.entity_type in ENTITIES:
                    yield ENTITIES[result.entity_type]

    return find


def main() -> None:
    """See the module."""
    find = presidio()
    json.dump([sorted(set(find(text))) for text in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
