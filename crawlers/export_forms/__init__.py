"""Export forms: how chat programs write their exports, one TOML file per form.

A file in this folder is registered by its presence. `ullage ingest --format NAME` reads an export
with one; `export_forms` in the data folder holds an organization's own forms, which take
precedence. Each form contains samples, written for the test in the program's format, and near
misses that must be refused (`crawlers.intake.export_form`).
"""
