"""When a document is from, as far as it says so itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIELDS = (
    "date",
    "dated",
    "published",
    "published_at",
    "created",
    "created_at",
    "updated",
    "modified",
)
"""Of its metadata, the first that holds a date counts."""


def own_date(metadata: Mapping[str, str]) -> datetime | None:
    """Return the date that a document's metadata name; None where they name none.

    ISO 8601, or as in e-mail; without a zone it is taken for UTC.

    >>> own_date({"Date": "Tue, 03 Mar 2026 10:00:00 +0100"}).isoformat()
    '2026-03-03T09:00:00+00:00'
    >>> own_date({"published": "2026-03-03"}).isoformat()
    '2026-03-03T00:00:00+00:00'
    """
    named = {name.lower(): value for name, value in metadata.items()}
    found = (_moment(named[name].strip()) for name in FIELDS if name in named)
    return next((moment for moment in found if moment is not None), None)


def _moment(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
        except (ValueError, OverflowError):  # another form, or a year that no calendar has
            continue
    return None
