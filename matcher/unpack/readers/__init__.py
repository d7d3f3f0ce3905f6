"""Readers of formats: one module for each, found by `matcher.unpack.formats`.

To read a new format, add one module here. It declares `FORMATS`, a tuple of `formats.FileFormat`:
how the format is recognised, and the function that reads it, `read(walk, body, path, depth)`. That
function says what it finds with `walk.text` (a text), with `walk.entry` (something that may be a
container itself) and `walk.names` (a list of names); counts what comes out with
`walk.budget.measured`; and raises `Halt` with a word of `protocol.REASONS` for what it cannot read,
or ValueError for damage. A library is imported by `Format.load`, which gives None where it is not
installed: then the reader raises `Halt("unsupported")`. Readers run in the confined child, where
nothing can be opened, imported or started any more.
"""
