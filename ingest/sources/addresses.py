"""Which addresses of a network a source may reach; a connection goes only where was looked.

A name is resolved here, every answer is checked, and the connection is made to the very address
that passed. So a name that answers differently a moment later (DNS rebinding) gains nothing, and
each redirect is a new connection with a new check.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from knowledge.errors import ConfigurationError, Unreadable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""From host and port to addresses; raises `OSError` for a name that is none."""

_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local, and the metadata service of most clouds
            "100.100.100.200/32",  # metadata
            "192.0.0.192/32",  # metadata
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "fd00:ec2::254/128",  # metadata
            "fe80::/10",
            "ff00::/8",
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class RefusedAddress(Unreadable):
    """The address is not one that this installation lets its sources reach."""

    code = "refused_address"


class AddressBook:
    """Resolves names, and refuses what is not public unless the operator allows it."""

    def __init__(self, private: str = "", resolve: Resolver | None = None) -> None:
        """Allow the hosts and networks on private addresses that `private` lists with commas."""
        self._resolve = resolve or _resolve
        self._hosts, self._networks = _parsed(private)

    def look_up(self, host: str, port: int) -> str:
        """Return the address to connect to.

        Raises `RefusedAddress` when any of the name's addresses may not be reached, and `OSError`
        when it has none.
        """
        found = [ipaddress.ip_address(each.partition("%")[0]) for each in self._resolve(host, port)]
        if not found:
            raise OSError(f"{host} has no address")
        for address in found:
            self._check(host, address)
        return str(found[0])

    def _check(self, host: str, address: Address) -> None:
        for each in _meant(address):
            if any(each in network for network in _NEVER):
                raise RefusedAddress(f"{host} is at {address}, which no source may reach")
            if not each.is_global and not self._is_allowed(host, each):
                raise RefusedAddress(
                    f"{host} is at the private address {address}; if it may be crawled, add it to "
                    "FOOTNOTE_CRAWL_PRIVATE"
                )

    def _is_allowed(self, host: str, address: Address) -> bool:
        return host.lower() in self._hosts or any(address in net for net in self._networks)


def _meant(address: Address) -> list[Address]:
    """Return the address and the IPv4 addresses that are wrapped in it."""
    meant: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped is not None:
            meant = []
        meant += [each for each in wrapped if each is not None]
    return meant


def _parsed(private: str) -> tuple[frozenset[str], tuple[Network, ...]]:
    hosts, networks = set(), []
    for each in filter(None, (part.strip() for part in private.split(","))):
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError as error:
            if "/" in each:
                raise ConfigurationError(f"FOOTNOTE_CRAWL_PRIVATE: no network: {each}") from error
            hosts.add(each.lower())
    return frozenset(hosts), tuple(networks)


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
