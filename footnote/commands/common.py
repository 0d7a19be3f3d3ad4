"""What all commands share: how they take options, give examples, and speak."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Only look into this collection.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def examples(*lines: str) -> str:
    """Return an epilog that shows how a command is used."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def say(message: str) -> None:
    """Tell something beside the result."""
    print(f"footnote: {message}", file=sys.stderr, flush=True)


def as_text(body: Any) -> str:  # noqa: ANN401
    """Return JSON that people can read."""
    return json.dumps(body, ensure_ascii=False, indent=2)
