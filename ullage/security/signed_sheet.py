"""A printed coverage report carries its own signature: what comes before its last paragraph is what is signed."""

from __future__ import annotations

import hashlib
import re

from ullage.errors import RecordError
from ullage.security.signing import Signer, Verifier

TOPIC = "sheets"
PURPOSE = "coverage print"
END = "\n</footer>\n</body>\n</html>\n"
SIGNED = re.compile(r'\n<p class="signed">SHA-256 ([0-9a-f]{64}), signed by ([0-9a-f]{16}): ([0-9a-f]{128})</p>' + re.escape(END))


def signed(text: str, signer: Signer) -> str:
    """The report with the paragraph that has its digest, the signer and the signature."""
    digest, signature = hashlib.sha256(text.encode()).hexdigest(), signer.sign(PURPOSE, text.encode())
    return f'{text}\n<p class="signed">SHA-256 {digest}, signed by {signer.name}: {signature}</p>{END}'


def verified(text: str, verifier: Verifier) -> str:
    """Who signed a report; RecordError `malformed` for what is none, `not_authentic` or `unknown_signer` as it is signed."""
    found = SIGNED.search(text)
    if found is None or found.end() != len(text):
        raise RecordError("malformed")
    body = text[: found.start()].encode()
    verifier.verify(found[2], found[3], PURPOSE, body)
    if hashlib.sha256(body).hexdigest() != found[1]:
        raise RecordError("not_authentic")
    return found[2]
