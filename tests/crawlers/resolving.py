"""`python -m tests.crawlers.resolving HOST=A,B,… … -- ullage's words`: the command where names are
what the test says.

Each look-up of HOST gets the next of its addresses, and the last for ever; one that is `HANG` never
comes back. Of all addresses 127.0.0.2 alone is public, so that a test can tell a public one from a
private one without leaving the machine.
"""

import socket
import sys
import threading
from collections.abc import Iterator
from itertools import chain, repeat

PUBLIC = "127.0.0.2"
HANG = "hang"


def _answers(addresses: str) -> Iterator[str]:
    addresses_ = addresses.split(",")
    return chain(addresses_, repeat(addresses_[-1]))


def main() -> None:
    from tests.crawlers import lookups  # before anything that keeps the real one

    original = lookups.answer
    cut = sys.argv.index("--")
    names = {
        name: _answers(addresses)
        for name, _, addresses in (word.partition("=") for word in sys.argv[1:cut])
    }

    def resolve(host: object, port: object, *_: object, **__: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name not in names:
            return original(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        if (address := next(names[name])) == HANG:
            threading.Event().wait()
        return original(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    lookups.answer = resolve
    from crawlers.fetching import address_guard, address_pin
    from ullage.cli import main as ullage

    for module in (address_pin, address_guard):
        module.is_public = lambda found: str(found) == PUBLIC
    sys.argv[1:] = sys.argv[cut + 1 :]
    ullage()


if __name__ == "__main__":
    main()
