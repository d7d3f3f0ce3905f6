"""Addresses: which are of the open Internet, which no site has, and what a name resolves to."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")
INWARD = re.compile(r"(^|\.)(localhost|local|internal|intranet|lan|home\.arpa)$|^[^.]*$|(^|\.)(\d+|0x[0-9a-f]*)$")
METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
"""Beside the link-local one, where clouds tell a machine its credentials: Amazon's over IPv6, Alibaba's, Oracle's."""


def is_inward(host: str) -> bool:
    """Whether a name may mean a machine beside the proxy, as far as its look tells; addresses are judged as everywhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return INWARD.search(host.rstrip(".")) is not None
    return False


def is_public(address: Address) -> bool:
    """Whether `address` is of the open Internet: no private, local, multicast or reserved one, nor such a one in disguise."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address in ipaddress.IPv6Network("64:ff9b::/96"):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_anybodys(address: Address) -> bool:
    """Whether a site may be there at all, in this house or outside: no link-local address, nor one that gives out credentials."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return not (inner or address).is_link_local and (inner or address) not in METADATA


def literal(host: str) -> list[Address]:
    """The address that `host` is, if it is one, in whatever spelling a resolver takes: `127.1`, `2130706433`, `0x7f000001`."""
    host = host.strip("[]").rstrip(".")
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        return [ipaddress.IPv4Address(socket.inet_aton(host))] if NUMBERS.fullmatch(host) else []
    except OSError:
        return []


async def is_outside(host: str, seconds: float) -> bool:
    """Whether a name or address leads out of this house, as far as anybody can tell."""
    if is_inward(host):
        return False
    try:
        return all(is_anybodys(one) and is_public(one) for one in await addresses_of(host, seconds))
    except (OSError, UnicodeError):
        return not literal(host)


async def addresses_of(host: str, seconds: float) -> list[Address]:
    """Every address that the system's resolver gives for `host`, odd spellings included.

    OSError where there is none, or none within `seconds`. Each look-up has a thread of its own: asyncio's few would all be
    held by names whose servers say nothing, and every other site would wait behind them.
    """
    if known := literal(host):
        return known
    loop = asyncio.get_running_loop()
    told: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any] | None, error: Exception | None) -> None:
        if told.done():
            return
        if error is None:
            told.set_result(found or [])
        else:
            told.set_exception(error)

    def look_up() -> None:
        found, failed = None, None
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    async with asyncio.timeout(seconds):
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in await told]
