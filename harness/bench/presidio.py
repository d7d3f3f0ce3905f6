"""What Presidio's own recognizers find in texts: run by a Python that has presidio-analyzer, see `recall`.

Reads a JSON list of texts on standard input, writes for each the entities found. The recognizers are called directly: the kinds
that are compared need no language model. Its phone recognizer is told that numbers may be of mainland China.
"""

from __future__ import annotations

import json
import sys

import tldextract.tldextract
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    PhoneRecognizer,
)

REGIONS = ("CN", "US", "UK", "DE", "FR", "IL", "IN", "CA", "BR")
ENTITIES = {"PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban"}


def main() -> None:
    """See the module."""
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # its bundled list
    recognizers = [CreditCardRecognizer(), EmailRecognizer(), IbanRecognizer(), PhoneRecognizer(supported_regions=REGIONS)]
    found = [
        sorted(
            {
                ENTITIES[result.entity_type]
                for recognizer in recognizers
                for result in recognizer.analyze(text, recognizer.supported_entities, None)
                if result.entity_type in ENTITIES
            }
        )
        for text in json.load(sys.stdin)
    ]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
