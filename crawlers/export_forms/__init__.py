"""Export forms: how a chat program writes its exports, one TOML file each.

A file registers by being here.

`ullage ingest --as NAME` reads an export by one; `export_forms` in the data folder holds an
organization's own, which go first. Each holds samples, written by us in the program's shape, and
near misses that must be refused (`crawlers.intake.export_form`).
"""
