"""Back up the data folder while services run, and restore it into an empty folder.

Files are copied in the order in which records pass through them, upstream first, so a position
is never ahead of its results. Whatever happened during the copy is repeated after a restore.
Repetition changes nothing, and nothing is lost. The audit log is last, because it announces
actions before they happen.

Keys are copied to a separate folder: data with its keys beside it is worth as much to a thief as
the host. Only files on the list `BELONGS` are copied; any other file is reported. Data that must
stay secret between zones (two zones, the building host) stays on its host, so each host needs
its own backup.

The manifest is signed (HMAC-SHA-256) with `backup.key`, which is among the keys. A restored
configuration that names a command, or whose manifest could not be verified, is set aside: it has
no effect until a person has read and renamed it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage import __version__
from ullage.audit import current_user
from ullage.audit.entry import VERSION as AUDIT_VERSION
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS
from ullage.display.progress import ProgressBar, progress_bar
from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import (
    OF_A_DISK,
    disk_errors,
    put_in_place,
    sync_folder,
    take_lock,
    wait_for_lock,
    write_new,
)
from ullage.files.database import COUNTED, FOLLOWERS, SCHEMAS, back_up, read_schema_version
from ullage.files.validation import read_claimed_version
from ullage.inventory import VERSION as INVENTORY_VERSION
from ullage.lookup.list_index import VERSION as REGISTRY_VERSION
from ullage.running_time import FILE as CLOCK_FILE
from ullage.running_time import FOLDER as CLOCK
from ullage.runtime.dead_letters import REPLAY_GROUP
from ullage.security.keys import KeyStore
from ullage.settings import FILE, Context

MANIFEST, VERSION = "backup.json", 3
FORMATS = {"audit": AUDIT_VERSION, "inventory": INVENTORY_VERSION, "registry": REGISTRY_VERSION}
"""Versions of the file formats in a backup, written into its manifest.

The versions of databases are recorded beside each database.
"""
DATABASE = ".sqlite"
PASSING = ("in-hand", "locks", CLOCK)
"""Folders whose contents apply only to a living process or to this machine."""
PASSING_ENDINGS = (
    "lock",
    ".sock",
    ".partial",
    *(f"{DATABASE}{ending}" for ending in (*FOLLOWERS, COUNTED)),
)
BELONGS = (
    "ullage.toml", "sites.d/*.toml", "sites.d/*.off", "channels.d/*.toml", "presets/*.toml",
    "rules/*.toml", "rules/*.tsv",
    "*.sqlite", "inventory/*.json", "audit/*/*.jsonl", "audit/*/head.json", "audit/*.mark",
    "watchlists/*/*.watchlist",
    "watchlists/*/*.delta", "watchlists/*/*.amended", "watchlist-sizes/*.size",
    "enrolled/*.enrolled", "enrolled/*.amended",
    "building/*.subjects", "building/*.transfers", "erased/*.tombstones",
    "evidence/*/*.evidence", "evidence/*/*.hold",
    "audit/syslog.json",
)  # fmt: skip
"""Patterns of every file of the data folder that belongs to a backup.

Bus and store are added from the settings.
"""
CERTIFICATES = re.compile(
    rb"(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
)
"""The contents of a certificate file, which belongs to a backup wherever it is."""
LARGEST_CERTIFICATES = 1 << 20
KEY = "backup.key"
"""The key that signs manifests; it is among the keys, which are stored separately."""
ASIDE = ".restored"
READS = 2
"""How often each byte is read: for its copy, and for its digest."""
CHUNK = 1 << 20
"""Bytes per read."""
ORDER = ("frontier", "collect", CAPTURES, FINDINGS, DEAD_LETTERS, "incidents", "accounts")
"""Names of databases, upstream first; databases with another name follow."""


def backup(
    ctx: typer.Context,
    to: Annotated[Path, typer.Argument(help="The folder to create.")],
    keys_to: Annotated[
        Path | None,
        typer.Option(
            "--keys", help="Another folder to create, for the keys: keep it apart from the data."
        ),
    ] = None,
) -> None:
    """Back up the data folder while services run.
    Keys are left out, or go into a folder of their own.
    """
    context: Context = ctx.obj
    context.require_data()
    folder, key_folder = _new(context, to, keys_to)
    with contextlib.ExitStack() as undo:
        # half a copy would only take up the space that was missing
        for target in filter(None, (folder, key_folder)):
            undo.callback(shutil.rmtree, target, ignore_errors=True)
        context.trail().append(
            "data.backup",
            "the data folder" + ", and its keys apart" * bool(key_folder),
            actor=current_user(),
        )
        with _replaying_nothing(context), contextlib.ExitStack() as still:
            sources, left_out = _sources(context)
            if not context.keys.exists(KEY):  # before the keys are listed
                context.keys.make(KEY)
            keys = [
                path for path in _files(context.keys.root) if key_folder and not path.is_symlink()
            ]
            with progress_bar(READS * sum(map(_size, (*sources, *keys)))) as progress:
                stilled = _lock_audit_log_last(sources, context.data / AUDIT, still)
                count, size = _copy(context.data, folder, stilled, context, progress)
                keys_count = (
                    _copy(context.keys.root, key_folder, keys, context, progress)[0]
                    if key_folder
                    else 0
                )
        summary = f"{count} files, {size / 2**20:.1f} MiB"
        if key_folder:
            summary += f"; {keys_count} key files in {key_folder}: keep them apart from it"
        else:
            summary += (
                "; it has no keys, and cannot be used without them: copy them with"
                " --keys, or restore them from KMS"
            )
        undo.pop_all()
    typer.echo(f"{folder}: {summary}")
    for path, why in left_out.items():
        typer.echo(f"not in it: {path} {why}")
    for part, url in _list_server_parts(context):
        typer.echo(f"not in it: {part} is on {url.split('?')[0]}, which needs its own backup")


def restore(context: Context, source: Path, keys_from: Path | None) -> Iterator[str]:
    """Restore a backup into the data folder, which must be empty; yield a line for each step.

    `keys_from` is the copy of the keys; without it no keys are restored and the signature is not
    verified. Raises CorruptError, before anything is written, if a file is damaged, of another
    version, or was not written by the holder of the keys. Raises ConfigError if the folder is not
    empty or the backup not complete. A configuration that was not verified, or that names a
    command, is set aside.
    """
    if context.data.exists() and any(context.data.iterdir()):
        raise ConfigError(
            f"{context.data} is not empty: restore into a new folder, `ullage --data NEW restore …`"
        )
    folders = [folder for folder in (source, keys_from) if folder]
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            raise ConfigError(
                f"{folder} is not a complete backup ({MANIFEST} is missing): use another backup"
            )
    key = KeyStore(keys_from).inventory_key(KEY) if keys_from else None
    manifests = [(folder, _manifest(folder, key)) for folder in folders]
    targets = (context.data, context.keys.root)
    with progress_bar(
        READS
        * sum(_size(folder / name) for folder, manifest in manifests for name in manifest["files"])
    ) as progress:
        for folder, manifest in manifests:
            for name, digest in manifest["files"].items():
                if _digest(folder / name, progress) != digest:
                    raise CorruptError(
                        f"{folder / name} is damaged: nothing was restored; use another backup"
                    )
        for (folder, manifest), target in zip(manifests, targets, strict=False):
            _put_back(folder, manifest, target, progress)
    for (_, manifest), target in zip(manifests, targets, strict=False):
        yield (
            f"{target}: {len(manifest['files'])} files of {manifest['at']}, by ullage"
            f" {manifest['ullage']}"
        )
    if keys_from is None:
        yield f"no keys were restored: put them into {context.keys.root}, then `ullage check`"
        yield f"{source} was not verified: the key of its manifest is among the missing keys"
    else:
        # the clock record belongs to the former machine
        KeyStore(context.keys.root).inventory.strike(f"{CLOCK}/{CLOCK_FILE}")
    yield from _put_aside(context.data, is_verified=key is not None)


def _put_back(folder: Path, manifest: dict[str, Any], target: Path, progress: ProgressBar) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in manifest["files"]:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with progress.growth(place, _size(folder / name)):
            _copy_file(folder / name, place)
            _sync(place)
    _sync_folders(target)


def _put_aside(data: Path, *, is_verified: bool) -> Iterator[str]:
    """Set a restored configuration aside if a person must read it first.

    This is the case if it names a command or was not verified; a line says so then. Without a
    configuration nothing is done.
    """
    path = data / FILE
    if not path.exists() or (is_verified and not _names_command(path)):
        return
    aside = path.with_name(f"{path.name}{ASIDE}")
    put_in_place(path, aside)
    why = "names a command that would be run" if is_verified else "was not verified"
    yield (
        f"the configuration {why}: read {aside}, then confirm it with `mv {aside} {path}` and"
        " `ullage check`"
    )


def _names_command(path: Path) -> bool:
    """Return whether a configuration names a program, or cannot be read."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        return bool(
            settings.get("keys", {}).get("command") or settings.get("crawl", {}).get("browser")
        )
    except (OSError, ValueError, AttributeError):
        return True


def _new(context: Context, to: Path, keys_to: Path | None) -> tuple[Path, Path | None]:
    """Create the target folders, and return them; the second is None without `keys_to`.

    Raises ConfigError, before anything is created, if one is not empty, or lies within the other or
    within the data or its keys.
    """
    targets = [target.resolve() for target in (to, keys_to) if target]
    for target in targets:
        places = {
            context.data.resolve(): "the data folder",
            context.keys.root.resolve(): "the folder of keys",
        }
        places |= {sibling: "the other one" for sibling in targets if sibling is not target}
        for place, what in places.items():
            if target.is_relative_to(place):
                where = "is" if target == place else "is within"
                raise ConfigError(f"{target} {where} {what}: name one outside")
        if target.exists() and any(target.iterdir()):
            raise ConfigError(f"{target} is not empty: name a new folder")
    for target in targets:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
    return targets[0], targets[1] if keys_to else None


@contextlib.contextmanager
def _replaying_nothing(context: Context) -> Iterator[None]:
    """Prevent the replay of dead letters during the block.

    Otherwise a letter could count as replayed before it is on its topic. Raises HeldError if a
    replay is running. On another bus than SQLite nothing is done.
    """
    url = context.settings.bus.url
    if not url.startswith("sqlite:///"):
        yield
        return
    folder = context.data / url.removeprefix("sqlite:///")
    handle = take_lock(
        folder / f"{DEAD_LETTERS}.{REPLAY_GROUP}.lock",
        f"{DEAD_LETTERS}.{REPLAY_GROUP} is being consumed",
    )
    try:
        yield
    finally:
        os.close(handle)


def _list_server_parts(context: Context) -> Iterator[tuple[str, str]]:
    """Yield the parts that are stored on servers, with their URLs."""
    settings = context.settings
    parts = {
        "the bus": settings.bus.url,
        "topic captures": settings.bus.captures,
        "the incident store": settings.store.url,
    }
    yield from (
        (part, url) for part, url in parts.items() if url.startswith(("kafka:", "elasticsearch:"))
    )


def _sources(context: Context) -> tuple[list[Path], dict[Path, str]]:
    """Return the files to copy, in order, and the omitted files with the reason.

    The inventory comes first, then databases, other files, and the audit log last. Keys are in
    neither.
    """
    belonging, sources, left_out = _belonging(context), list[Path](), dict[Path, str]()
    for path in _files(context.data):
        if path.is_relative_to(context.keys.root):
            continue
        if path.is_symlink():
            left_out[path] = "is a link, which is not followed: copy its target by hand"
        elif path in belonging or _is_certificates(path):
            sources.append(path)
        else:
            left_out[path] = (
                "does not belong in a backup: copy it by hand, and a key to where keys are kept"
            )
    rank = {name: number for number, name in enumerate(ORDER)}

    def place(path: Path) -> tuple[int, str]:
        if path.is_relative_to(context.inventory.folder):
            return -1, str(path)  # first: parts created meanwhile may be missing in the copy
        if path.suffix == DATABASE:
            return rank.get(path.stem, len(ORDER)), str(path)
        return len(ORDER) + (2 if path.is_relative_to(context.data / AUDIT) else 1), str(path)

    return sorted(sources, key=place), left_out


def _lock_audit_log_last(
    sources: Iterable[Path], log: Path, still: contextlib.ExitStack
) -> Iterator[Path]:
    """Yield the sources, locking the audit log before its files, until `still` ends.

    The log comes last. All of its chains and their marks beside the keys are then from one moment.
    """
    yield from (path for path in sources if not path.is_relative_to(log))
    for lock in sorted(log.glob("*/lock")):
        still.enter_context(wait_for_lock(lock))
    yield from (path for path in _files(log) if not path.is_symlink())


def _files(root: Path) -> Iterator[Path]:
    """Yield the regular files and links below a folder.

    Files that are temporary, or are being written, are left out.
    """
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        is_passing = (
            parts[0] in PASSING
            or any(part.startswith((".", "build-")) for part in parts)
            or ".partial" in path.name
        )
        if (
            (path.is_file() or path.is_symlink())
            and not is_passing
            and not path.name.endswith(PASSING_ENDINGS)
        ):
            yield path


def _belonging(context: Context) -> set[Path]:
    """Return the files of the data folder that belong to a backup."""
    settings, patterns = context.settings, list(BELONGS)
    for url in (settings.bus.url, settings.bus.captures, settings.store.url):
        scheme, _, location = url.partition(":///")
        place = location.partition("?")[0].strip("/")
        if scheme == "spool":
            patterns += [
                f"{place}/{name}"
                for name in ("*/*.spool", "*/*.bad", "streams/*.json", "positions/*.json")
            ]
        elif scheme == "sqlite":
            patterns += [place] if place.endswith(DATABASE) else [f"{place}/*{DATABASE}"]
    return {path for pattern in patterns for path in context.data.glob(pattern)}


def _is_certificates(path: Path) -> bool:
    """Return whether a file holds certificates and nothing else."""
    with contextlib.suppress(FileNotFoundError):  # it may go meanwhile
        return path.stat().st_size <= LARGEST_CERTIFICATES and bool(
            CERTIFICATES.fullmatch(path.read_bytes())
        )
    return False


def _copy(
    root: Path, target: Path, sources: Iterable[Path], context: Context, progress: ProgressBar
) -> tuple[int, int]:
    """Copy files, and write the signed manifest last: a backup is invalid without it.

    Files that are removed meanwhile are left out. All is durable on return. Returns the number of
    files and bytes.
    """
    files: dict[str, str] = {}
    size = 0
    for path in sources:
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # files that are removed meanwhile, such as expired evidence
        gone = contextlib.suppress(FileNotFoundError)
        with gone, progress.growth(copy, _size(path)):
            back_up(path, copy) if path.suffix == DATABASE else _copy_file(path, copy)
            size += copy.stat().st_size
        for output in (copy, copy.with_name(copy.name + COUNTED)):
            if output.is_file():
                _sync(output)
                files[str(output.relative_to(target))] = _digest(output, progress)
    _sync_folders(target)
    manifest = {
        "version": VERSION,
        "formats": FORMATS,
        "databases": {
            name: _schema(target / name, name, context) for name in files if name.endswith(DATABASE)
        },
        "ullage": __version__,
        "at": context.clock.now().isoformat(timespec="seconds"),
        "files": files,
    }
    body = json.dumps(manifest, sort_keys=True).encode()
    lines = (
        body,
        hashlib.sha256(body).hexdigest().encode(),
        _signature(context.keys.inventory_key(KEY), body),
        b"",
    )
    write_new(b"\n".join(lines), target / MANIFEST)
    return len(files), size


def _schema(copy: Path, name: str, context: Context) -> tuple[str, int]:
    """Return the kind (see `SCHEMAS`) and the schema version of a copied database."""
    bus, store = (
        url.partition(":///")[2] for url in (context.settings.bus.url, context.settings.store.url)
    )
    kind = (
        "incidents"
        if name == store
        else "bus"
        if Path(name).is_relative_to(bus or "/")
        else copy.stem
    )
    return kind, read_schema_version(copy)


def _copy_file(path: Path, copy: Path) -> None:
    """Copy a file that is only appended to, or replaced as a whole."""
    with disk_errors(f"{path} or its copy {copy}", OF_A_DISK):
        shutil.copy2(path, copy)


def _sync(path: Path) -> None:
    """Wait until the contents of a file are on the disk."""
    with disk_errors(str(path)), path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folders(root: Path) -> None:
    """Wait until all names below a folder are on the disk."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        sync_folder(folder)


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"ullage backup\x1f" + body, hashlib.sha256).hexdigest().encode()


def _manifest(folder: Path, key: bytes | None) -> dict[str, Any]:
    """Return the manifest of a backup, verified.

    The version is checked first, the signature if there is a key. Raises CorruptError if the backup
    is damaged, of another version, or not signed with the key.
    """
    path = folder / MANIFEST
    try:
        body, digest, *signatures = path.read_bytes().split(b"\n")
    except ValueError:
        body, digest, signatures = b"", b"", []
    if (version := read_claimed_version(body)) not in (None, VERSION):
        raise CorruptError(
            f"{folder} is a backup of version {version}, and this ullage reads {VERSION}: use that"
            " version"
        )
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptError(f"{path} is damaged: use another backup")
    if key is not None and not hmac.compare_digest(
        signatures[0] if signatures else b"", _signature(key, body)
    ):
        raise CorruptError(
            f"{path} was not signed with these keys ({KEY}): nothing was restored; use"
            " another backup"
        )
    manifest: dict[str, Any] = json.loads(body)
    read = [
        (f"{folder}: {name} has version", actual, FORMATS.get(name))
        for name, actual in manifest["formats"].items()
    ]
    read += [
        (f"{folder / name} has schema", n, SCHEMAS.get(kind))
        for name, (kind, n) in manifest["databases"].items()
    ]
    for what, actual, supported in read:
        if supported not in (None, actual):
            ours = f"this ullage ({__version__}) reads {supported}"
            raise CorruptError(
                f"{what} {actual}, and {ours}: use ullage {manifest['ullage']};"
                " nothing was restored"
            )
    root = folder.resolve()
    if not all((folder / name).resolve().is_relative_to(root) for name in manifest["files"]):
        raise CorruptError(f"{path} names files outside the backup: use another one")
    return manifest


def _digest(path: Path, progress: ProgressBar) -> str:
    """Return the SHA-256 digest of a file in hexadecimal; "" if it does not exist.

    Adds its bytes to `progress`.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                progress.add(len(chunk))
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 if it was removed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
