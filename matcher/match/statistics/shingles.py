"""What a short post is recognised by: its text, in short stretches."""

from __future__ import annotations

SHINGLE = 8
SHINGLE_TEXT = 64 * 1024
"""Characters at the beginning of a text that count."""


def shingles(text: str) -> set[str]:
    """Stretches of 8 characters, spaces left out, of the first 64 Ki characters."""
    dense = "".join(text[:SHINGLE_TEXT].split()).lower()
    return {dense[i : i + SHINGLE] for i in range(max(1, len(dense) - SHINGLE + 1))} if dense else set()
