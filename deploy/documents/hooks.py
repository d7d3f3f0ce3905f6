"""Hooks that mkdocs calls while it builds the site.

Documents in the repository's root become pages, and links out of the site become plain text. A
link such as `../SECURITY.md` works where the documents are read in the repository. On the site
it leads to the page made of that file; a link to a source file is shown as its path.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OF_ROOT = {
    "README.md": "readme.md",
    "README.zh.md": "readme-zh.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents in the repository's root, and the pages that they become."""
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:|#|<)([^)#\s]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig, **_: Any) -> MkDocsConfig:
    """Append every page that `nav` does not name."""
    folder = Path(config.docs_dir)
    named = set(_list_pages(config.nav))
    pages = (path.relative_to(folder).as_posix() for path in folder.rglob("*.md"))
    more = sorted(page for page in pages if page not in named)
    config.nav = [*(config.nav or []), *([{"More": more}] if more else [])]
    return config


def _list_pages(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation, at any depth."""
    for entry in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        if isinstance(entry, str):
            yield entry
        else:
            yield from _list_pages(entry)


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the documents of the repository's root."""
    for name, page in OF_ROOT.items():
        files.append(
            File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8"))
        )
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Return the page with links adapted to the site."""
    source_path = page.file.src_uri
    return LINK.sub(lambda link: _link(link, source_path, files), markdown)


def _link(link: re.Match[str], here: str, files: Files) -> str:
    words, to, anchor = link[1], link[2], link[3] or ""
    source = next((name for name, made in OF_ROOT.items() if made == here), None)
    folder = "" if source else posixpath.join("docs", posixpath.dirname(here))
    path = posixpath.normpath(posixpath.join(folder, to))
    target = OF_ROOT.get(path, path.removeprefix("docs/"))
    if files.get_file_from_path(target) is None:
        return f"{words} (`{path}`)"
    return f"[{words}]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{anchor})"
