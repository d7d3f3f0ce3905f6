"""What a loss of power would undo: names that were given or changed, and whose folder was not
synced since.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class Names:
    """Looks on while files are renamed; `given` are all names that were given so."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.given: list[Path] = []
        self._open: list[Path] = []
        for name in ("rename", "replace"):
            patched.setattr(os, name, self._renaming(getattr(os, name)))
        sync = os.fsync

        def fsync(handle: int) -> None:
            sync(handle)
            folder = Path(f"/proc/self/fd/{handle}").readlink()
            self._open = [path for path in self._open if path.parent.resolve() != folder]

        patched.setattr(os, "fsync", fsync)

    def _renaming(self, act):
        def rename(source, target, **more):
            act(source, target, **more)
            self.given.append(Path(target))
            self._open.append(Path(target))

        return rename

    def undone(self) -> list[str]:
        """List the changes of names that a loss of power would take back."""
        return sorted({path.name for path in self._open if path.exists()})
