"""The commands and the stage: `ullage match`, `scan` and `assess`."""
