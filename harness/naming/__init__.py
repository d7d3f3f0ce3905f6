"""Checks that names and docstrings stay plain English.

A function is named by a verb, its docstring begins with one, and a variable says what it holds
(PEP 257; docs: CONTRIBUTING.md). `words.py` holds the words that do none of that, `count.py` finds
them in a module, and `python -m harness.naming` compares the counts with the limits that were
reached.
"""
