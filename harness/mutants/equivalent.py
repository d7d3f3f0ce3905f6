"""Mutants that change nothing that anybody could see, and why: the file's name, then what is
taken out and put in.
"""

EQUIVALENT: dict[tuple[str, ...], str] = {
    (
        "supervisor.py",
        "- children[role] = _Child(role, _start(data, role), now, is_first=False)",
        "+ children[role] = _Child(role, _start(data, role), now, is_first=None)",
    ): "both are false",
    (
        "supervisor.py",
        "- if (now := clock.monotonic()) >= ask_at:",
        "+ if (now := clock.monotonic()) > ask_at:",
    ): "two readings of a clock are not the same, and the next look comes 0.2 s later",
    (
        "database.py",
        "- work.step(-1)",
        "+ work.step(-2)",
    ): "SQLite copies all that is left for any number below zero",
    (
        "atomic_write.py",
        "- handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)",
        "+ handle = os.open(folder, os.O_RDONLY & os.O_DIRECTORY | os.O_CLOEXEC)",
    ): "what is opened is a folder in any case",
    (
        "database.py",
        '- number, _, check = file.read_bytes().strip().partition(b" ")',
        '+ number, _, check = file.read_bytes().strip().rpartition(b" ")',
    ): "there is one blank in the line, and any other line is damaged either way",
    (
        "database.py",
        "- os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))",
        "+ os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, ))",
    ): "the empty file is narrowed by the connection before anything is in it",
    (
        "atomic_write.py",
        (
            '- with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as'
            " fresh:"
        ),
        (
            '+ with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 385), "wb") as'
            " fresh:"
        ),
    ): "the file, which is empty, gets its mode in the next line",
    (
        "database.py",
        "- os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))",
        "+ os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 385))",
    ): "the empty file is narrowed by the connection before anything is in it",
    (
        "merge.py",
        "- continue",
        "+ pass",
    ): "nothing stands behind it in the loop",
    (
        "held.py",
        "- return {}",
        "+ pass",
    ): "of no values a search finds nothing",
    (
        "sqlite.py",
        "- size = 0",
        "+ size = 1",
    ): "how much a poll reads is a rough limit",
    (
        "sender.py",
        (
            "- incidents, decided = self.setup.store.mget(Incident, ids),"
            " standing(self.setup.store, ids)"
        ),
        "+ incidents, decided = self.setup.store.mget(Incident, ids), standing(self.setup.store, )",
    ): "what is decided of other incidents is not looked at",
    (
        "plan.py",
        "- return []",
        "+ pass",
    ): "what follows of nothing to say is an empty list as well",
}
