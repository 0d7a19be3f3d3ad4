"""What all commands share: how they take options, give examples, and speak."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from knowledge.errors import ConfigurationError
from knowledge.models import TAG

Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Only look into this collection.")
]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", help="Only what has this tag; may be repeated: any.")
]
Format = Annotated[
    list[str] | None, typer.Option("--type", help="Only this format, such as pdf; repeatable.")
]
Language = Annotated[
    list[str] | None, typer.Option("--language", help="Only this language, such as de; repeatable.")
]
From = Annotated[
    str | None, typer.Option("--from", help="Only what is dated on this day or later: 2026-01-31.")
]
To = Annotated[str | None, typer.Option("--to", help="Only what is dated on this day or before.")]
NewTags = Annotated[
    list[str] | None, typer.Option("--tag", help="Give all of them this tag; may be repeated.")
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


def checked_tags(given: Sequence[str]) -> list[str]:
    """Return tags as they are stored; raises `ConfigurationError` for what is none."""
    tags = [tag.strip() for tag in given]
    if wrong := [tag for tag in tags if not re.fullmatch(TAG, tag)]:
        raise ConfigurationError(f"not a tag: {wrong[0]!r} (1 to 100 characters)")
    return tags
