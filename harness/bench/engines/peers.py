"""What other programs find: run by a Python that has presidio-analyzer and detect-secrets, see `recall` and `process`.

`texts` reads a JSON list of texts and writes for each the entities that Presidio's own recognizers find. `presidio` and
`detect-secrets` search the file that is named behind them, and write how much of what they found. Presidio's recognizers are
called directly, without a language model; its phone recognizer is told that numbers may be of mainland China.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REGIONS = ("CN", "US", "UK", "DE", "FR", "IL", "IN", "CA", "BR")
ENTITIES = {"PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban"}


def presidio() -> Callable[[str], Iterator[str]]:
    """Gives for a text the kind of each entity that Presidio finds in it."""
    import tldextract.tldextract
    from presidio_analyzer import predefined_recognizers as known

    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # its bundled list
    phones = known.PhoneRecognizer(supported_regions=REGIONS)
    recognizers: list[Any] = [known.CreditCardRecognizer(), known.EmailRecognizer(), known.IbanRecognizer(), phones]

    def find(text: str) -> Iterator[str]:
        for recognizer in recognizers:
            for result in recognizer.analyze(text, recognizer.supported_entities, None):
                if result.entity_type in ENTITIES:
                    yield ENTITIES[result.entity_type]

    return find


def presidio_in(path: str) -> Counter[str]:
    """Presidio, line by line."""
    find = presidio()
    with Path(path).open(encoding="utf-8") as file:
        return Counter(kind for line in file for kind in find(line))


def secrets_in(path: str) -> Counter[str]:
    """detect-secrets with its default plugins."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    found = SecretsCollection()
    with default_settings():
        found.scan_file(path)
    return Counter(secret.type for _, secret in found)


def main() -> None:
    """See the module."""
    act, *rest = sys.argv[1:]
    if act == "texts":
        find = presidio()
        json.dump([sorted(set(find(text))) for text in json.load(sys.stdin)], sys.stdout)
    else:
        json.dump({"presidio": presidio_in, "detect-secrets": secrets_in}[act](rest[0]), sys.stdout)


if __name__ == "__main__":
    main()
