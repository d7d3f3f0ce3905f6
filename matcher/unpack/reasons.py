"""Why something was not read."""

from __future__ import annotations

REASONS = {
    "encrypted": "encrypted, not read",
    "bomb": "grows too far for its size, the rest not read",
    "too_deep": "nested too deep, not read",
    "too_many": "too many entries, the rest not read",
    "too_large": "too large, the rest not read",
    "image": "image, not read",
    "audio_video": "audio or video, not read",
    "binary": "program or font, not read",
    "database": "database or binary table, read only as far as its words stand in clear",
    "unrecognised": "no text and of no known kind, read only as far as words stand in it in clear",
    "damaged": "damaged, read as far as it goes",
    "unsupported": "of a kind that cannot be read here",
    "timeout": "took too long, the rest not read",
    "memory": "needs too much memory, the rest not read",
    "denied": "cannot be opened, not read",
    "empty": "empty, there is nothing to read",
}
"""The closed list of reasons, each as it is said to a person. The keys are metric labels."""
LOSES_NOTHING = frozenset(("empty",))
"""Of these nothing can have been missed: they are told, and leave the verdict on the rest as it is."""
