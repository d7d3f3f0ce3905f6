"""Readers of formats: one module for each, found by `matcher.unpack.formats`.

To read a new format, add one module here. It declares `FORMATS`, a tuple of `formats.FileFormat`:
how the format is recognised, and the function that reads it, `read(walk, body, path, depth)`. That
function writes what it reads with `walk.text` (a text), `walk.entry` (something that may be a
container itself) and `walk.names` (a list of names). It counts the bytes that come out with
`walk.budget.measure`, and raises `Halt` with a key of `protocol.REASONS` for what it cannot read,
or ValueError for damage. A library is imported by `FileFormat.load`, which returns None if it is
not installed; the reader then raises `Halt("unsupported")`. Readers run in the confined child,
where nothing can be opened, imported or started any more.
"""
