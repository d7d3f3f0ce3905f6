"""Mutants that change nothing that anybody could see, and why: the file's name, then what is taken out and put in."""

EQUIVALENT: dict[tuple[str, ...], str] = {}
