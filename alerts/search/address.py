"""By which name the desk was asked, and from where: names that are known alone, and what a proxy says only if it is ours.

A name may have a path, below which the desk is (`https://bank.example/desk/`). Pages and redirects lead there then, whether the
proxy takes the path away or passes it on.

`X-Forwarded-For` and `X-Forwarded-Host` are believed from the addresses in `search.proxies` and from nobody else. Of a chain of
proxies the last address that is none of ours is the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.types import Scope

from ullage.settings import LOOPBACK, Settings
from ullage.settings.roles import UNIX

PORTS = {"https": 443, "http": 80}
MACHINES = frozenset({"/metrics", "/healthz", "/readyz"})
"""What is for this machine alone: it names tenants."""


@dataclass(frozen=True, slots=True)
class RequestSource:
    """A request's name (`host`, "" for one that is not ours), `source` and whether what its reader sent was encrypted.

    `source` is an address, of IPv6 the network (/64) that one reader has; `origin` is what a browser calls the page that it sees.
    """

    host: str
    source: str
    is_secure: bool
    is_local: bool
    origin: str = ""
    base: str = ""
    """The path below which its reader sees the desk, without a slash at the end; "" for the whole name."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How the desk can be reached: `hosts` directly, `public` (host to origin) by the addresses that its readers know."""

    hosts: frozenset[str]
    public: Mapping[str, str]
    bases: Mapping[str, str] = field(default_factory=dict)
    """Host to the path below which it has the desk."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    trusts_socket: bool = False
    scheme: str = "http"

    @classmethod
    def of(cls, settings: Settings, hosts: Iterable[str]) -> Reach:
        """As the settings have it; `hosts` are the `name:port` under which it listens."""
        search = settings.search
        page = urlsplit(settings.notify.page)
        told = (settings.notify.page,) if page.scheme == "https" and page.hostname else ()
        public = {host_of(one): origin_of(one) for one in (*search.public, *told)}
        bases = {host_of(one): urlsplit(one).path.rstrip("/") for one in (*told, *search.public)}
        networks = tuple(ip_network(one) for one in search.proxies if one != UNIX)
        return cls(frozenset(hosts), public, bases, networks, UNIX in search.proxies, "https" if search.certificate else "http")

    @property
    def origins(self) -> frozenset[str]:
        """What a browser calls a page of ours."""
        return frozenset({*self.public.values(), *(f"{self.scheme}://{host}" for host in self.hosts)})

    def asked(self, scope: Scope, headers: Mapping[str, str]) -> RequestSource:
        """What a request says of itself, as far as it can be believed."""
        peer = scope["client"][0] if scope.get("client") else UNIX
        host, source = headers.get("host", ""), peer
        if by_proxy := self._trusts(peer):
            host = headers.get("x-forwarded-host", host)
            source = self._source(headers.get("x-forwarded-for", ""), peer)
        known = host if host in self.hosts or host in self.public else ""
        is_secure = self.scheme == "https" or (known in self.public and self.public[known].startswith("https:"))
        by_proxy = by_proxy and ("x-forwarded-for" in headers or "x-forwarded-host" in headers)
        is_local = known in self.hosts and not by_proxy and (peer == UNIX or _is_loopback(peer))
        is_secure = is_secure or (by_proxy and headers.get("x-forwarded-proto") == "https")
        origin = self.public.get(known) or f"{'https' if is_secure else 'http'}://{known}"
        return RequestSource(known, _network_of(source), is_secure, is_local, origin, self.bases.get(known, ""))

    def _source(self, forwarded: str, peer: str) -> str:
        """The last address in a list of `X-Forwarded-For` that is no proxy of ours; the peer where it says nothing."""
        for one in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if not self._trusts(one):
                return one[:64]
        return peer

    def _trusts(self, address: str) -> bool:
        if address == UNIX:
            return self.trusts_socket
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def host_of(url: str) -> str:
    """The host of an address as a browser sends it: without the scheme's own port.

    >>> host_of("https://ullage.bank.example:443/"), host_of("https://desk.example:8443")
    ('ullage.bank.example', 'desk.example:8443')
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return name if parts.port in (None, PORTS.get(parts.scheme)) else f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """The origin of an address as a browser sends it."""
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def _network_of(source: str) -> str:
    """Where somebody may have any of the addresses, as one source."""
    try:
        found = ip_address(source)
    except ValueError:
        return source
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found.packed, 64), strict=False).network_address) + "/64"
    return str(found.ipv4_mapped if isinstance(found, IPv6Address) else found)


def _is_loopback(peer: str) -> bool:
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return peer in LOOPBACK
