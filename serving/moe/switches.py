"""What the environment tells the kernels' house; no other file of it reads the environment.

FOOTNOTE_MOE         auto (flags by tables that fit), kernels (our kernels by such tables), or
                     off (vLLM as it is)
FOOTNOTE_MOE_TABLES  a folder with the site's own tables, which go before ours
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MODES = ("auto", "kernels", "off")


@dataclass(frozen=True, slots=True)
class Switches:
    """How the plugin is set."""

    mode: str
    tables: Path | None


def read_switches() -> Switches:
    """Read both variables; a mode that is none counts as off, since off is always safe."""
    mode = os.environ.get("FOOTNOTE_MOE") or "auto"  # noqa: TID251 (this is the file that may)
    tables = os.environ.get("FOOTNOTE_MOE_TABLES")  # noqa: TID251
    return Switches(mode if mode in MODES else "off", Path(tables) if tables else None)
