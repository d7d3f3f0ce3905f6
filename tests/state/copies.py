"""A process that was killed outright: its files as they lie at that moment, with nothing closed
and nothing written back.
"""

import shutil
import tempfile
from pathlib import Path


class Disk:
    """A folder of files that somebody writes to."""

    def __init__(self) -> None:
        self._all = tempfile.TemporaryDirectory()
        self._deaths = 0
        self.folder = self._next()

    def _next(self) -> Path:
        folder = Path(self._all.name) / str(self._deaths)
        folder.mkdir()
        return folder

    def die(self) -> None:
        """Go on with what lies there now; whoever still has the former files open changes
        nothing of it.
        """
        former, self._deaths = self.folder, self._deaths + 1
        self.folder = self._next()
        shutil.copytree(former, self.folder, dirs_exist_ok=True)

    def clean(self) -> None:
        """Remove everything."""
        self._all.cleanup()
