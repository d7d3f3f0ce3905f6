"""Files of rules: of each kind the one that this version comes with, or the house's own in
`DATA/rules`.

A kind is declared beside the model of its rules. Everything that goes by rules asks here which are
in force, and a process that lives long asks again before each piece of work: no rule needs a
restart. An error says file and place.
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
from ullage.files.validation import faults_of, read_toml

FOLDER = "rules"


class VersionedRules(Protocol):
    """What a file of rules holds; who changes it raises its version."""

    @property
    def version(self) -> int:
        """1 or more."""


R = TypeVar("R", bound=VersionedRules)
M = TypeVar("M", bound=BaseModel)


def toml(model: type[M]) -> Callable[[str, str], M]:
    """Reads a TOML text, of a file of that name, into `model`; ConfigError says what is wrong in
    it, and where.
    """

    def read(text: str, name: str) -> M:
        try:
            return model.model_validate(read_toml(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}: {error}") from None
        except ValidationError as error:
            raise FaultsError(f"{name}: {fault}" for fault in faults_of(error, model)) from None

    return read


def shipped_text(package: str, file: str) -> str:
    """A file that lies in `package`."""
    return resources.files(package).joinpath(file).read_text(encoding="utf-8")


def shipped(model: type[M], package: str, file: str) -> M:
    """What `file` in `package` holds: data that comes with this version and that no house has
    its own of.
    """
    return toml(model)(shipped_text(package, file), file)


def text_of(path: Path, data: Path | None = None) -> str:
    """The text of a file of rules, one that is in force where it lies in the folder `data`;
    ConfigError when it cannot be read.

    What is in force must be nobody else's to write (`ullage.files.ownership`).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than rules are")
        return (
            path.read_text(encoding="utf-8-sig")
            if data is None
            else read_trusted(path, data).decode("utf-8-sig")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})") from None


@dataclass(frozen=True, slots=True)
class RuleSource(Generic[R]):
    """Rules, and the text that they were read from."""

    text: str
    rules: R


@dataclass(frozen=True, slots=True)
class RuleKind(Generic[R]):
    """A kind of rules: what people call it, where this version's file lies, and what reads one
    (text, name of the file).
    """

    name: str
    package: str
    file: str
    read: Callable[[str, str], R]

    def shipped(self) -> RuleSource[R]:
        """Those of this version."""
        text = shipped_text(self.package, self.file)
        return RuleSource(text, self.read(text, self.file))

    def own(self, data: Path) -> Path:
        """Where the house's own lie."""
        return (data / FOLDER / self.name).with_suffix(Path(self.file).suffix)

    def kept(self, path: Path, data: Path | None = None) -> RuleSource[R]:
        """Those in a file, as `text_of`; ConfigError says what is wrong with it."""
        text = text_of(path, data)
        return RuleSource(text, self.read(text, str(path)))

    def in_force(self, data: Path) -> RuleSource[R]:
        """The house's own where there are any; ConfigError when they are wrong, or not for this
        user to read.
        """
        return self.shipped() if self.stamp(data) is None else self.kept(self.own(data), data)

    def stamp(self, data: Path) -> tuple[int, ...] | None:
        """Changes with the house's own file; None where there is none."""
        try:
            found = self.own(data).stat()
        except FileNotFoundError:
            return None
        except OSError:  # it is there, and reading it says what is wrong
            return (0,)
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns

    def put(self, data: Path, text: str) -> Path:
        """Put what was read from `text` into force, whole or not at all; returns where it lies.

        Rules are no secret: roles that run as other users than whoever puts them there have to read
        them.
        """
        own = self.own(data)
        if not own.parent.is_dir():
            own.parent.mkdir(parents=True)
            own.parent.chmod(0o755)  # whatever the umask is
        write_whole(text.encode(), own, mode=0o644)
        return own


@dataclass(slots=True)
class Live(Generic[R]):
    """The rules of a kind that are in force, at each call: the house's file is read again when it
    has changed.

    ConfigError when it is wrong at the first; later the rules before stay in force, and the log
    says so once.
    """

    kind: RuleKind[R]
    data: Path
    _stamp: tuple[int, ...] | None = None
    _kept: RuleSource[R] | None = None

    def __call__(self) -> R:
        """The rules."""
        stamp = self.kind.stamp(self.data)
        if self._kept is None or stamp != self._stamp:
            try:
                self._kept = self.kind.in_force(self.data)
            except ConfigError as error:
                if self._kept is None:
                    raise
                log.get("rules").error("rules_not_reloaded", error=str(error), kind=self.kind.name)
            else:
                log.get("rules").info(
                    "rules_in_force", version=self._kept.rules.version, kind=self.kind.name
                )
            self._stamp = stamp
        return self._kept.rules
