"""Containers to members: archives, office files, PDF and mail, parsed in a child that can do nothing else.

    body ─kinds: is it text?─▶ unpacked: unpack ─▶ spawn ══ fd 0: bytes ══▶ child: confine, seal, walk ─▶ a parser a kind
                                    ▲                                               │
                                    └── frames: checked, counted ◀═════ fd 1 ═══════╯

Parsers of hostile files are where programs like this one get broken into. So the process that parses is started fresh for each
container (executed, not forked: it never held a key or another capture), has an empty environment and three descriptors, takes
a network namespace of its own where the kernel lets it, and gives up, before it reads the first byte, every system call but
those of reading, writing, memory and exit. Nothing is written to disk: the container goes in as a sealed file in memory, members
come out of a pipe. The parent believes nothing of what comes back: frames, sizes, counts, names and time are all bounded.

Whatever is not read is said: each `Outcome` has a reason from a closed list. What could be read of a damaged container is read.

Start with `matcher.unpack.kinds.is_container` and `matcher.unpack.unpacked.unpack`. This file imports nothing, because the
child's start would pay for it.
"""
