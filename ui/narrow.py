"""The part of the page that narrows what is asked about: by source, format, language, tag, date.

Offered is what the service says that the reader's documents differ in; options and chips of the
widgets are plain text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import streamlit as st

from knowledge.language_code import NAMES
from knowledge.models import Facet, Facets
from ui.client import Client

FRESH_SECONDS = 60.0
"""So long the reader is offered what the service last said; counting anew takes it a while."""
_KINDS = {"sources": "Source", "types": "Format", "languages": "Language", "tags": "Tag"}


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What the reader has narrowed to."""

    filters: dict[str, Any] = field(default_factory=dict)
    """As the service takes them; empty: nothing."""
    words: str = ""
    """The same for people."""


def choose(client: Client, collection: str | None, *, documents: int) -> Narrowed:
    """Draw what can be narrowed to, and return what is; of `documents`, which all can be asked."""
    facets = _facets(client, collection, documents)
    with st.container(horizontal=True, key="narrow"):
        chosen = _values(_choices(facets, documents))
        dates = _dates(facets)
    filters: dict[str, Any] = {}
    for kind, value, _ in chosen:
        filters.setdefault(kind, []).append(value)
    if dates:
        filters["date"] = dict(zip(("from", "to"), map(date.isoformat, dates), strict=False))
    return Narrowed(filters, " · ".join([*(label for _, _, label in chosen), *_in_words(dates)]))


def _facets(client: Client, collection: str | None, documents: int) -> Facets:
    """Return what the service says, once a minute or when something else is asked about."""
    asked = (client, collection, documents)
    kept = st.session_state.get("facets")
    if kept is None or kept[0] != asked or time.monotonic() - kept[1] > FRESH_SECONDS:
        kept = st.session_state.facets = asked, time.monotonic(), client.facets(collection)
    facets: Facets = kept[2]
    return facets


def _choices(facets: Facets, documents: int) -> dict[str, tuple[str, str, str]]:
    """Map what is shown to (kind, value, itself); what all documents share narrows nothing."""
    shown = (
        (kind, each.value, f"{word}: {_name(kind, each)}")
        for kind, word in _KINDS.items()
        for each in getattr(facets, kind)
        if each.documents < documents
    )
    return {choice[2]: choice for choice in shown}


def _name(kind: str, facet: Facet) -> str:
    if kind == "languages":
        return NAMES.get(facet.value, facet.value)
    return facet.name.upper() if kind == "types" and "/" not in facet.name else facet.name


def _values(choices: dict[str, tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    kept = [label for label in st.session_state.get("narrowed", ()) if label in choices]
    if not choices:
        return []
    st.session_state.narrowed = kept  # without what is offered no more
    labels = st.multiselect(
        "Narrow to",
        list(choices),
        key="narrowed",
        placeholder="Any source, format, language or tag",
        select_all=False,
        persist_state="session",
    )
    return [choices[label] for label in labels]


def _dates(facets: Facets) -> tuple[date, ...]:
    """Let the reader choose a first and a last day; a first one alone has no end."""
    kept: tuple[date, ...] = st.session_state.get("dated", ())
    days = [moment.date() for moment in (facets.first, facets.last) if moment]
    if not kept and len(set(days)) < 2:
        return ()
    return st.date_input(
        "Dated",
        value=[],
        min_value=min([*days, *kept]),
        max_value=max([*days, *kept]),
        key="dated",
        format="YYYY-MM-DD",
        width=240,
        persist_state="session",
    )


def _in_words(dates: tuple[date, ...]) -> Iterator[str]:
    if dates:
        yield f"Dated from {dates[0]}" + (f" to {dates[1]}" if len(dates) > 1 else "")
