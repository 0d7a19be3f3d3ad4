"""What the environment tells the kernels' house, and what the house tells vLLM's log.

No other file of it reads the environment.

FOOTNOTE_MOE         auto (flags by tables that fit), kernels (our kernels by such tables), or
                     off (vLLM as it is)
FOOTNOTE_MOE_TABLES  a folder with the site's own tables, which go before ours
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

LOG = logging.getLogger("vllm.footnote_moe")  # vLLM shows what is logged below its own name
MODES = ("auto", "kernels", "off")


@dataclass(frozen=True, slots=True)
class Switches:
    """How the plugin is set."""

    mode: str
    tables: Path | None

    @property
    def why_off(self) -> str | None:
        """Say why nothing is to be done; what is no mode counts as off, which is safe."""
        if self.mode == "off":
            return "FOOTNOTE_MOE is off"
        known = ", ".join(MODES)
        return None if self.mode in MODES else f"FOOTNOTE_MOE is {self.mode}, known are {known}"


def read_switches() -> Switches:
    """Read both variables."""
    mode = os.environ.get("FOOTNOTE_MOE") or "auto"  # noqa: TID251 (this is the file that may)
    tables = os.environ.get("FOOTNOTE_MOE_TABLES")  # noqa: TID251
    return Switches(mode, Path(tables) if tables else None)


@functools.cache
def say_once(line: str) -> None:
    """Log a line as from its caller, the first time in this process: every layer would say it."""
    LOG.info(line, stacklevel=2)
