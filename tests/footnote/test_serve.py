from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from footnote import serve
from knowledge.errors import ConfigurationError


def test_replies_are_sent_at_once_and_not_held_back_for_the_next_packet() -> None:
    assert asyncio.run(_sends_at_once(serve._bound("127.0.0.1", 0)))
    assert not asyncio.run(_sends_at_once(_without_its_protocol()))  # the control


def test_a_port_that_is_taken_names_the_setting() -> None:
    with serve._bound("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match="FOOTNOTE_PORT"),
            serve._bound("127.0.0.1", port),
        ):
            pass


async def _sends_at_once(bound: contextlib.AbstractContextManager[socket.socket]) -> bool:
    """Say whether a connection that asyncio accepts on the socket is without Nagle's delay."""
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        seen.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bound as listener:
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            without_delay = await asyncio.wait_for(seen, 10)
            writer.close()
            await writer.wait_closed()
    return bool(without_delay)


@contextlib.contextmanager
def _without_its_protocol() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener
