"""A tenant comes to be with its first list, or not at all: its keys are made apart, and put in place when the list is built."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ullage.errors import ConfigError
from ullage.files.atomic_write import sync_folder
from ullage.security.keys import KeyStore, make_tenant


@contextlib.contextmanager
def enrolling(keys: KeyStore, tenant: str, made: Sequence[Path] = ()) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    """Keys of `tenant` to build with, and what puts them in place: call it when the list is built, before it is installed.

    If anything fails, before or after, nothing of a new tenant is left, nor any of `made`, the paths that are made for it after
    its keys; of a tenant that was here before, only keys that were missing go again. A kill leaves a folder `.new-…` of the keys.
    """
    home = keys.root / tenant
    with _kept(keys, tenant) if home.is_dir() else _new(keys, tenant, made) as drafted:
        yield drafted


@contextlib.contextmanager
def _kept(keys: KeyStore, tenant: str) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    home = keys.root / tenant
    before = set(home.iterdir())
    with contextlib.ExitStack() as undo:
        undo.callback(lambda: _remove(set(home.iterdir()) - before))
        make_tenant(keys, tenant)
        yield keys, lambda: None
        undo.pop_all()


@contextlib.contextmanager
def _new(keys: KeyStore, tenant: str, made: Sequence[Path]) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    home, fresh = keys.root / tenant, [path for path in made if not path.exists()]
    keys.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=keys.root, prefix=".new-") as folder, contextlib.ExitStack() as undo:
        drafted = replace(keys, root=Path(folder))
        make_tenant(drafted, tenant)

        def place() -> None:
            try:
                (drafted.root / tenant).rename(home)
            except OSError:
                raise ConfigError(f"{home} was made meanwhile by another command: run this one again") from None
            undo.callback(_remove, [home, *fresh])
            sync_folder(keys.root)

        yield drafted, place
        undo.pop_all()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
