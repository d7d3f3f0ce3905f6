"""Generate boards for Grafana: one TOML file per board in `boards/`, its JSON in `dashboards/`.

`python -m deploy.grafana` writes the JSON, and a test fails while it differs from the TOML.
Generating needs the development dependencies; loading the JSON needs none. The boards were not
tested in a Grafana. Tests check that each panel is complete, and that a real Prometheus scraping
a running demo answers each query with series. `make boards` draws the boards from such answers
(`harness/live/board_sheet.py`).
"""
