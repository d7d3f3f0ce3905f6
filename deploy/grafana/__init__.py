"""Boards for Grafana, generated: one TOML file a board in `boards/`, the JSON that Grafana loads in
`dashboards/`.

`python -m deploy.grafana` writes the JSON anew, and a test says when it is not what the TOML makes.
Generating needs the development dependencies; loading the JSON needs none. Nobody here has seen the
boards in a Grafana: what is tested is that each panel is complete and that a real Prometheus,
scraping a running demo, answers each of its queries with series; `make boards` draws them from such
answers (`harness/live/board_sheet.py`).
"""
