"""How it stands with a model server, and what has happened before it: what is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.steady.breaker import State

FAULTS = (
    *("unavailable", "timeout", "reset", "unauthorized", "context_overflow", "http_429"),
    *("http_500", "http_502", "http_503", "http_504", "stream_error", "empty", "null_content"),
    *("reasoning_only", "json_tool_call", "harmony_markup", "endless", "length"),
)
"""Codes that are counted from 0: a rate needs a beginning. Others are counted when they come."""
TURNED_AWAY = ("full", "late", "resting")
"""The line was full; the time was up before a turn came; the server is left alone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is at one moment, and what has been since the process started."""

    writing: int
    waiting: int
    breaker: State
    opened: int
    turned_away: Mapping[str, int]
    """By reason."""
    faults: Mapping[str, int]
    """By code, those included that a second try made good."""
    second_tries: int


@dataclass(slots=True)
class Tally:
    """What has happened so far; written by one event loop, read by any thread."""

    turned_away: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TURNED_AWAY, 0))
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    second_tries: int = 0

    def turn_away(self, reason: str) -> None:
        """Count a request that never reached the server."""
        self.turned_away[reason] += 1

    def fail(self, code: str) -> None:
        """Count how a try ended that was no answer."""
        if code == "resting":
            self.turn_away(code)
        else:
            self.faults[code] = self.faults.get(code, 0) + 1
