"""What `ask` and `search` are narrowed to: JSON for the API, checked before all else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving import schemas

Json = dict[str, Any]


def filters(
    *,
    tags: Sequence[str] | None,
    types: Sequence[str] | None,
    languages: Sequence[str] | None,
    since: str | None,
    until: str | None,
) -> Json | None:
    """Return the field `filters` of a request; None: unfiltered. Raises `ConfigurationError`."""
    named = {"tags": tags, "types": types, "languages": languages}
    given: Json = {name: list(values) for name, values in named.items() if values}
    dates = {name: text for name, text in (("from", since), ("to", until)) if text}
    if dates:
        given["date"] = dates
    schemas.filters(given)
    return given or None
