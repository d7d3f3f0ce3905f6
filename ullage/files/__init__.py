"""Files of the data folder: written whole or not at all, locked, trusted only if nobody else could
have written them.

    atomic_write   a file that is there whole or not at all
    lock           one process at a time
    trusted        reading configuration, rules and keys
    database       opening SQLite so that it is durable, erasing and checked
    rulefiles      rules that this version comes with, or the house's own

Nothing here knows what is in a file; that is said where the file is used.
"""
