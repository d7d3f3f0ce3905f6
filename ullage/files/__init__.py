"""Read and write files of the data folder: complete or not at all, locked, and trusted.

    atomic_write   write a file completely or not at all; locks
    ownership      read configuration, rules and keys that nobody else can have written
    validation     parse JSON and TOML, and list every fault
    rule_files     the rules of this version, or the organization's own
    database       SQLite files that are durable, erasing and checked
    output         standard output that never ends a service
    descriptors    scarce file descriptors
    disk_room      free disk space

Nothing here knows the content of a file; the code that uses the file does.
"""
