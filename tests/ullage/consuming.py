"""A consumer whose handler ends the process at poison, in one way or another: run as a program by
`test_in_hand.py`.

python -m tests.ullage.consuming DATA WAY [WATCHDOG_SECONDS]
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ullage import log
from ullage.bus import CAPTURES, Record
from ullage.errors import UllageError
from ullage.runtime import memory
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand
from ullage.runtime.service import die_with_supervisor, no_core_dumps, stop_on_signals, surroundings
from ullage.runtime.worker import Worker
from ullage.security import keys
from ullage.settings import Context

BATCH = 4
FREE_BYTES = 256 * 1024 * 1024
"""What this process takes for the memory that is free."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def end() -> None:
    os._exit(3)


def exhaust_memory() -> None:
    raise MemoryError


def allocate_endlessly() -> None:
    """Ask for more memory than there is.

    Where only the kernel would stop it, it is killed as by the kernel.
    """
    if resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
        kill()
    blocks = [bytearray(1 << 20) for _ in range(2 * FREE_BYTES >> 20)]
    assert not blocks, "it got twice what is free"


def hung() -> None:
    """Hang with the interpreter's lock held, so that no thread of ours could end it."""
    re.match("(a+)+$", "a" * 64 + "b")


def waiting() -> None:
    """Hold a record until somebody outside ends the process."""
    os.write(1, f"in hand {os.getpid()}\n".encode())
    while True:
        signal.pause()


def harmless() -> None: ...


WAYS = {
    way.__name__: way
    for way in (kill, crash, end, exhaust_memory, allocate_endlessly, hung, waiting, harmless)
}


def main(data: Path, way: str, watchdog: float) -> None:
    """Consume topic captures until nothing is left; each record that was handled goes into the
    file `handled`.
    """
    log.configure("error")
    no_core_dumps()
    die_with_supervisor()
    stop = threading.Event()
    stop_on_signals(stop)
    context, writing = Context(data), way.startswith("writing-")
    bus, act = context.bus(), WAYS[way.removeprefix("writing-")]
    subscription, letters = (
        bus.subscribe(CAPTURES, "match"),
        DeadLetters(bus, keys.load_sealer(context.keys), "match"),
    )
    in_hand = InHand.of(data, CAPTURES, "match", surroundings(), watchdog, stop)
    memory.free_memory = lambda: FREE_BYTES

    def handle(records: Sequence[Record]) -> None:
        for record in records:
            if record.value.startswith(b"poison"):
                if writing:
                    with in_hand.writing():
                        act()
                act()
            with (data / "handled").open("a") as file:
                file.write(f"{record.offset}\n")

    with in_hand.record_crashes():
        Worker("match", subscription, handle, letters, stop, BATCH, in_hand=in_hand).run(once=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], float((sys.argv[3:] or ["0"])[0]))
    except UllageError as error:
        sys.exit(str(error))
