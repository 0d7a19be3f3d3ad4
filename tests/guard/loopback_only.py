"""Refuses every connection that would leave this machine, and writes each attempt down.

An audit hook of the interpreter sees all its sockets, whichever library opens them. The standard
library is all this file may import: it runs before anything else in each child of the tests.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path

CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


class LeavesThisMachine(OSError):
    """A test, or a process it started, tried to reach something beyond loopback."""


def install(report: Path) -> None:
    """Guard this process for good; each attempt adds a line to the file `report`."""
    here = ("", "localhost", socket.gethostname())

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith("socket."):
            return
        if event in LOOKUPS:
            name = _text(arguments[0])
            outside = name not in here and not _is_address(name)
        elif event in CONNECTIONS and _speaks_ip(arguments[0]):
            name = _text(_host(arguments[1]))
            outside = name not in here and not _is_local(name)
        else:
            return
        if outside:
            _refuse(f"{event} {name}", report)

    sys.addaudithook(hook)


def _speaks_ip(channel: object) -> bool:
    return getattr(channel, "family", None) in (socket.AF_INET, socket.AF_INET6)


def _host(address: object) -> object:
    return address[0] if isinstance(address, tuple) else address


def _text(host: object) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    if not _is_address(host):
        return False
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified


def _refuse(what: str, report: Path) -> None:
    with report.open("a") as lines:
        lines.write(f"{what} ({' '.join(sys.argv)[:200]})\n")
    raise LeavesThisMachine(f"the tests stay on this machine: refused {what}")
