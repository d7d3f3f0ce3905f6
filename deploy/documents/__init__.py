"""Generate parts of `docs/` from the code, and build the site of the documents (`mkdocs.yml`).

`python -m deploy.documents` rewrites these parts; a test fails while they differ from the code.
"""
