"""Containers to members: archives, office files, PDF and mail, parsed in a child that can do
nothing else.

    body ─formats: is it text?─▶ parent: unpack ═══ request ══▶ child: fork ─▶ sandbox: confine, seal ─▶ walk ─▶ readers
                                  ▲                                              ║
                                  └──── protocol: checked, counted ◀═══ a pipe ══╝

Parsers of hostile files are where programs like this one get broken into. So each container is
parsed in a process of its own. It is forked from a server that was executed afresh for it and a few
others (never forked from us: it never held a key or a capture), with an empty environment, which
has loaded the parsers and reads no container itself. The child has three descriptors, takes a
network namespace of its own where the kernel lets it, and gives up, before it reads the first byte,
every system call but those of reading, writing, memory and exit: not even its server is in its
reach. Nothing is written to disk: the container goes in as a sealed file in memory, members come
out of a pipe. The parent believes nothing of what comes back: frames, sizes, counts, names and time
are all bounded.

Whatever is not read is said: each `Outcome` has a reason from a closed list. What could be read of
a damaged container is read.

Each format is one module of `readers`, which says how it is recognised as well (`formats` finds
them). What stands in a text as letters (`formats.find_enclosed`) is read as if it lay beside it. A
library that is slow to load, such as that for Parquet, is loaded once, by a second server that is
forked from the first; where such a file lies in another container, the parent asks for its child.

Start with `matcher.unpack.parent.is_container` and `matcher.unpack.parent.unpack`. This file
imports nothing, because the child's start would pay for it.
"""  # noqa: E501
