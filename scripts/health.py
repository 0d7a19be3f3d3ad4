"""Exit 0 if every address answers, 1 if one does not: what compose asks of its services.

An address is a URL that returns 200, or `tcp://HOST:PORT`, or `unix:///PATH`.
"""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

SECONDS = 4


def main(addresses: Sequence[str]) -> int:
    """Try each address once; name those that fail."""
    failed = [address for address in addresses if not answers(address)]
    for address in failed:
        print(f"{address} does not answer", file=sys.stderr)
    return 1 if failed or not addresses else 0


def answers(address: str) -> bool:
    """Say whether a URL returns 200, or a port or Unix socket takes a connection."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            return _connects(socket.AF_UNIX, parts.path)
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname, parts.port), SECONDS).close()
            return True
        return _gets(parts.hostname or "", parts.port, parts.path)
    except (OSError, http.client.HTTPException):
        return False


def _connects(family: socket.AddressFamily, address: str) -> bool:
    with socket.socket(family) as client:
        client.settimeout(SECONDS)
        client.connect(address)
        return True


def _gets(host: str, port: int | None, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path or "/")
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
