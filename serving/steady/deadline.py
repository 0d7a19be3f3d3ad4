"""Ends a stream when its time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from knowledge.errors import ModelError

T = TypeVar("T")


async def in_time(
    until: float, items: AsyncGenerator[T, None], code: str = "timeout"
) -> AsyncGenerator[T, None]:
    """Yield all items; raises `ModelError` with `code` where one is not there at that moment.

    `until` is of the monotonic clock. What the reader does between two items counts as well.
    """
    async with aclosing(items):
        while True:
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise ModelError("The answer took too long.", code=code) from error
            yield item
