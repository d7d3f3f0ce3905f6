"""Rewrite the generated parts of the documents: `python -m deploy.documents`."""

from __future__ import annotations

from deploy.documents.generated import DOCS, METRICS, PAGES, renewed

if __name__ == "__main__":
    for name in (*PAGES, METRICS):
        page = DOCS / name
        page.write_text(renewed(name, page.read_text(encoding="utf-8")), encoding="utf-8")
