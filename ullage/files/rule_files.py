"""Load files of rules: those of this version, or the organization's own in `DATA/rules`.

A kind of rules is declared beside the model of its rules. Code that applies rules asks here for the
current ones, and a long-running process asks again before each piece of work: no change of rules
needs a restart. Errors name file and place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from ullage import log
from ullage.errors import ConfigError, FaultsError
from ullage.files.atomic_write import write_whole
from ullage.files.ownership import MAX_BYTES, read_trusted
from ullage.files.validation import describe_faults, read_toml

FOLDER = "rules"


class VersionedRules(Protocol):
    """The content of a rules file; whoever changes it raises its version."""

    @property
    def version(self) -> int:
        """1 or more."""


R = TypeVar("R", bound=VersionedRules)
M = TypeVar("M", bound=BaseModel)


def toml_reader(model: type[M]) -> Callable[[str, str], M]:
    """Return a function that parses a TOML text, of a file of that name, into `model`.

    It raises ConfigError that lists every fault and its place.
    """

    def read(text: str, name: str) -> M:
        try:
            return model.model_validate(read_toml(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}: {error}") from None
        except ValidationError as error:
            raise FaultsError(
                f"{name}: {fault}" for fault in describe_faults(error, model)
            ) from None

    return read


def read_shipped_text(package: str, file: str) -> str:
    """Return the UTF-8 text of the data file `file` in the Python package `package`.

    Raises FileNotFoundError if there is none.
    """
    return resources.files(package).joinpath(file).read_text(encoding="utf-8")


def load_shipped(model: type[M], package: str, file: str) -> M:
    """Return the TOML data file `file` of `package` as an instance of `model`.

    Only for data that no organization replaces. Raises ConfigError if the file does not fit the
    model.
    """
    return toml_reader(model)(read_shipped_text(package, file), file)


def read_rules(path: Path, data: Path | None = None) -> str:
    """Return the text of a file of rules, without a byte order mark.

    With `data`, the file is in force in that folder and must be writable by nobody else
    (`ullage.files.ownership`). Raises ConfigError if it is too large, missing, unreadable, not
    UTF-8, or writable by others.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is too large for a file of rules: name another file")
        return (
            path.read_text(encoding="utf-8-sig")
            if data is None
            else read_trusted(path, data).decode("utf-8-sig")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__}): check that it exists and is UTF-8"
        ) from None


@dataclass(frozen=True, slots=True)
class RuleSource(Generic[R]):
    """Rules, and the text that they were parsed from."""

    text: str
    rules: R


@dataclass(frozen=True, slots=True)
class RuleKind(Generic[R]):
    """A kind of rules.

    It has a name for people, the file of this version, and a parser (text, file name).
    """

    name: str
    package: str
    file: str
    read: Callable[[str, str], R]

    def load_shipped(self) -> RuleSource[R]:
        """Return the rules that this version of ullage ships, with their text."""
        text = read_shipped_text(self.package, self.file)
        return RuleSource(text, self.read(text, self.file))

    def own_path(self, data: Path) -> Path:
        """Return the path of the organization's own file below `data`; the file may not exist."""
        return (data / FOLDER / self.name).with_suffix(Path(self.file).suffix)

    def load(self, path: Path, data: Path | None = None) -> RuleSource[R]:
        """Load the rules in a file (see `read_rules`); raises ConfigError if they are invalid."""
        text = read_rules(path, data)
        return RuleSource(text, self.read(text, str(path)))

    def load_current(self, data: Path) -> RuleSource[R]:
        """Load the organization's own rules if there are any, else those of this version.

        Raises ConfigError if they are invalid or unreadable.
        """
        return (
            self.load_shipped()
            if self.stamp(data) is None
            else self.load(self.own_path(data), data)
        )

    def stamp(self, data: Path) -> tuple[int, ...] | None:
        """Return numbers that change with the organization's own file; None if there is no file.

        They are inode, mtime and ctime in nanoseconds, or (0,) if the file's status cannot be read.
        """
        try:
            status = self.own_path(data).stat()
        except FileNotFoundError:
            return None
        except OSError:  # it exists, and reading it reports the fault
            return (0,)
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    def install(self, data: Path, text: str) -> Path:
        """Write `text`, already validated, as the organization's own rules; return the file's path.

        Replaces an existing file atomically and durably, and creates the folder if it is missing.
        Everybody may read the file (mode 0644), because services that run as other users need it.
        Raises OSError if it cannot be written; rules that were there then stay.
        """
        path = self.own_path(data)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o755)  # whatever the umask is
        write_whole(text.encode(), path, mode=0o644)
        return path


@dataclass(slots=True)
class Live(Generic[R]):
    """The current rules of a kind; the organization's file is read again when it has changed.

    Raises ConfigError if the first version is invalid; later the previous rules stay in force,
    and the log says so once.
    """

    kind: RuleKind[R]
    data: Path
    _stamp: tuple[int, ...] | None = None
    _current: RuleSource[R] | None = None

    def __call__(self) -> R:
        """Return the current rules; read the organization's file again if its stamp has changed.

        Raises ConfigError if no rules were loaded yet and these are invalid. Later the previous
        rules stay in force and the log gets an error. A successful reading is logged, too.
        """
        stamp = self.kind.stamp(self.data)
        if self._current is None or stamp != self._stamp:
            try:
                self._current = self.kind.load_current(self.data)
            except ConfigError as error:
                if self._current is None:
                    raise
                log.get("rules").error("rules_not_reloaded", error=str(error), kind=self.kind.name)
            else:
                log.get("rules").info(
                    "rules_in_force", version=self._current.rules.version, kind=self.kind.name
                )
            self._stamp = stamp
        return self._current.rules
