"""Unpack containers (archives, office files, PDF, mail) in a child that can do nothing else.

    body ─formats: is it text?─▶ parent: unpack ═══ request ══▶ child: fork ─▶ confine, seal
                                  ▲                                              │
                                  │                                       walk ─▶ readers
                                  └──── protocol: checked, counted ◀═══ a pipe ══╝

Parsers of hostile files are where programs like this one are attacked, so each container is parsed
in a process of its own. That process is forked from a server that has loaded the parsers and reads
no container itself. The server is executed afresh, with an empty environment, and not forked from
this process, so that its memory never contains a key or a capture. The child has three descriptors,
takes a network namespace of its own if the kernel allows it, and before it reads the first byte
gives up every system call but those of reading, writing, memory and exit: it cannot even reach its
server. Nothing is written to disk: the container is passed as a sealed file in memory, members
arrive through a pipe. The parent trusts nothing that comes back: frames, sizes, counts, names and
time are all limited.

Each part that is not read is reported: an outcome has a reason from a closed list. The readable
part of a damaged container is read.

Each format is one module of `readers`, which also declares how it is recognised (`formats` finds
it). A file that is encoded in a text (`formats.find_enclosed`) is read as if it lay beside the
text. A slow library, such as that for Parquet, is loaded one time, by a second server that is
forked from the first; if such a file is inside another container, the parent requests a child for
it.

Start with `matcher.unpack.parent.is_container` and `matcher.unpack.parent.unpack`. This file
imports nothing, because the child's start would pay for it.
"""
