"""`ullage backup` and `ullage restore`: the data folder as it is while roles run, and back into an empty one.

Files are copied in the order in which records go through them, what is upstream first: a position is never ahead of what follows
from it. So what happened during the copy comes again after a restore, and what comes again changes nothing; nothing is lost. The
audit log is last, since it says what is about to be done.

Keys are apart: a copy of the data with the keys beside it is worth as much to a thief as the host. What people keep secret from
one another (two zones, the building host) stays on its host: each host is backed up by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage import __version__
from ullage.audit import current_user
from ullage.audit.entry import HEAD
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS
from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import sync_folder, write_new
from ullage.files.database import COUNTED, FOLLOWERS, back_up
from ullage.files.lock import hold
from ullage.running_time import FOLDER as CLOCK
from ullage.runtime.dead_letters import REPLAY_GROUP
from ullage.settings import Context

MANIFEST, VERSION = "backup.json", 1
DATABASE = ".sqlite"
PASSING = ("in-hand", "locks", CLOCK)
"""Folders of what holds only while a process lives, or on this machine."""
PASSING_ENDINGS = (".lock", ".sock", ".partial", *(f"{DATABASE}{ending}" for ending in (*FOLLOWERS, COUNTED)))
ORDER = ("frontier", "collect", CAPTURES, FINDINGS, DEAD_LETTERS, "incidents", "accounts")
"""Databases by name, upstream first; one of another name comes behind them."""


def backup(
    ctx: typer.Context,
    to: Annotated[Path, typer.Argument(help="The folder to make.")],
    keys_to: Annotated[
        Path | None, typer.Option("--keys", help="Another folder to make, for the keys: keep it elsewhere than the data.")
    ] = None,
) -> None:
    """Copy the data folder, consistent while roles run; keys go apart, or not at all."""
    context: Context = ctx.obj
    context.require_data()
    folder, key_folder = _new(to), _new(keys_to) if keys_to else None
    outside = [one for one in (folder, key_folder) if one and one.is_relative_to(context.data.resolve())]
    if outside:
        raise ConfigError(f"{outside[0]} is within the data folder: name one outside")
    context.trail().append("data.backup", "the data folder" + ", and its keys apart" * bool(key_folder), actor=current_user())
    with _replaying_nothing(context):
        count, size = _copy(context.data, folder, _sources(context), context)
    said = f"{count} files, {size / 2**20:.1f} MiB"
    if key_folder:
        keys_count, _ = _copy(context.keys.root, key_folder, _files(context.keys.root), context)
        said += f"; {keys_count} key files in {key_folder}: keep them elsewhere"
    else:
        said += "; no key is in it, and without its keys it cannot be used: copy them with --keys, or restore them from KMS"
    typer.echo(f"{folder}: {said}")
    for part, url in _elsewhere(context):
        typer.echo(f"not in it: {part} is on {url.split('?')[0]}, which has copies of its own")


def restore(context: Context, source: Path, keys_from: Path | None) -> Iterator[str]:
    """Put a backup into the data folder, which must be empty; a line a thing done. Damage is found before anything is written."""
    if context.data.exists() and any(context.data.iterdir()):
        raise ConfigError(f"{context.data} is not empty: restore into a new folder, `ullage --data NEW restore …`")
    manifests = [(folder, _manifest(folder)) for folder in (source, keys_from) if folder]
    for folder, manifest in manifests:
        for name, told in manifest["files"].items():
            if _digest(folder / name) != told:
                raise CorruptError(f"{folder / name} is damaged: nothing was restored; use another backup")
    for (folder, manifest), target in zip(manifests, (context.data, context.keys.root), strict=False):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in manifest["files"]:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(folder / name, place)
            with place.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(target)
        yield f"{target}: {len(manifest['files'])} files of {manifest['at']}, by ullage {manifest['ullage']}"
    if keys_from is None:
        yield f"no keys were restored: put them into {context.keys.root}, then `ullage check`"


def _new(folder: Path) -> Path:
    """The folder, made; ConfigError where it is there and not empty."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name a new folder")
    return folder


@contextlib.contextmanager
def _replaying_nothing(context: Context) -> Iterator[None]:
    """While no dead letter is being replayed: a letter would count as replayed, and not be on its topic yet."""
    url = context.settings.bus.url
    if not url.startswith("sqlite:///"):
        yield
        return
    folder = context.data / url.removeprefix("sqlite:///")
    handle = hold(folder / f"{DEAD_LETTERS}.{REPLAY_GROUP}.lock", f"{DEAD_LETTERS}.{REPLAY_GROUP} is being consumed")
    try:
        yield
    finally:
        os.close(handle)


def _elsewhere(context: Context) -> Iterator[tuple[str, str]]:
    """Parts that lie on servers."""
    settings = context.settings
    parts = {"the bus": settings.bus.url, "topic captures": settings.bus.captures, "the incident store": settings.store.url}
    yield from ((part, url) for part, url in parts.items() if url.startswith(("kafka:", "elasticsearch:")))


def _sources(context: Context) -> Iterator[Path]:
    """What is copied of the data folder, in order."""
    found = [path for path in _files(context.data) if not path.is_relative_to(context.keys.root)]
    rank = {name: number for number, name in enumerate(ORDER)}

    def place(path: Path) -> tuple[int, str]:
        if path.suffix == DATABASE:
            return rank.get(path.stem, len(ORDER)), str(path)
        if path.is_relative_to(context.data / AUDIT):  # the head before the entries, which may be more by then
            return len(ORDER) + (2 if path.name == HEAD else 3), str(path)
        return len(ORDER) + 1, str(path)

    yield from sorted(found, key=place)


def _files(root: Path) -> Iterator[Path]:
    """Regular files below a folder, but for what holds nothing that lasts and what is being made."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        is_passing = parts[0] in PASSING or any(part.startswith((".", "build-")) for part in parts) or ".partial" in path.name
        if path.is_file() and not path.is_symlink() and not is_passing and not path.name.endswith(PASSING_ENDINGS):
            yield path


def _copy(root: Path, target: Path, sources: Iterator[Path], context: Context) -> tuple[int, int]:
    """Copy files and write the manifest last: a backup without one is none. How many files and bytes."""
    files: dict[str, str] = {}
    size = 0
    for path in sources:
        name = path.relative_to(root)
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # what went meanwhile, as expired evidence does
            _copy_one(path, copy)
            size += copy.stat().st_size
        for made in (copy, copy.with_name(copy.name + COUNTED)):
            if made.is_file():
                files[str(made.relative_to(target))] = _digest(made)
    manifest = {
        "version": VERSION,
        "ullage": __version__,
        "at": context.clock.now().isoformat(timespec="seconds"),
        "files": files,
    }
    body = json.dumps(manifest, sort_keys=True).encode()
    write_new(body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n", target / MANIFEST)
    return len(files), size


def _copy_one(path: Path, copy: Path) -> None:
    """A database by its own means; any other file is only added to, or replaced whole."""
    if path.suffix == DATABASE:
        back_up(path, copy)
        return
    shutil.copy2(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())


def _manifest(folder: Path) -> dict[str, Any]:
    """What a backup says of itself; ConfigError where it is none, CorruptError where it is damaged or of a newer version."""
    try:
        body, digest, _ = (folder / MANIFEST).read_bytes().split(b"\n")
    except OSError:
        raise ConfigError(f"{folder} is no backup: {MANIFEST} is not there, which is written last") from None
    except ValueError:
        body, digest = b"", b""
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptError(f"{folder / MANIFEST} is damaged: use another backup")
    manifest: dict[str, Any] = json.loads(body)
    if manifest["version"] > VERSION:
        raise CorruptError(f"{folder} was written by a newer ullage ({manifest['ullage']}): use that version")
    root = folder.resolve()
    if not all((folder / name).resolve().is_relative_to(root) for name in manifest["files"]):
        raise CorruptError(f"{folder / MANIFEST} names files outside the backup, which no backup does: use another one")
    return manifest


def _digest(path: Path) -> str:
    """SHA-256 of a file, "" where it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
