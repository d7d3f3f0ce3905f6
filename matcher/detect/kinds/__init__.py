"""Finders of single kinds, in columns, a file a kind; rules and tables are those of the same file in `ullage/identifiers`."""
