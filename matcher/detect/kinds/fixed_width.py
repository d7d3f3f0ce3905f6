"""Phone and resident ID of a row whose fields have a fixed width and no sign between: `1380013800011010519491231002…`.

A run of 29 digits is both where one end is a mobile number and the rest an ID whose date and check leave little to chance.
"""

from __future__ import annotations

from matcher.columns.batch import Batch
from matcher.detect.candidates import Segment
from matcher.detect.kinds import phone, resident_id
from matcher.detect.numbers import WIDTH, DigitRuns, Numbers

LENGTH = phone.LENGTH + resident_id.LENGTH


def find(batch: Batch, runs: DigitRuns) -> list[Segment]:
    """Phones and IDs of a batch that stand so, either first."""
    start, size = runs.long
    start, found = start[size == LENGTH], list[Segment]()
    for phone_at, id_at in ((0, phone.LENGTH), (resident_id.LENGTH, 0)):
        numbers, ids = (
            Numbers(start + at, start + at + length, batch.windows(start + at, WIDTH))
            for at, length in ((phone_at, phone.LENGTH), (id_at, resident_id.LENGTH))
        )
        both = phone.is_mobile(numbers.text) & resident_id.is_id(ids.text)
        both &= resident_id.check_characters(ids.text) == ids.text[:, resident_id.LENGTH - 1]
        if both.any():
            found.append(numbers.where(both).segment("phone", phone.LENGTH))
            found.append(ids.where(both).segment(resident_id.KIND, resident_id.LENGTH))
        start = start[~both]
    return found
