"""Put right what a crash left behind, and clean away what nobody may see any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from knowledge.ports import Index, Ledger, Outbox

LONGEST_STEP = timedelta(hours=1)
"""Another process that has not touched a revision for so long is taken to be gone."""


def recover(ledger: Ledger, index: Index, outbox: Outbox, *, exclusive: bool) -> int:
    """Give up what was left unfinished, and finish what comes after; return how many were given up.

    `exclusive` says that no other process ingests into this catalog, and that this one has not yet
    begun: then nothing can be under way, every unfinished revision is given up and every claimed
    upload is free again. What is given up is repeated by whoever handed it in: the next ingest of
    its folder, or the upload that still waits.
    """
    if exclusive:
        outbox.release()
    given_up = ledger.abandon(untouched_for=timedelta(0) if exclusive else LONGEST_STEP)
    clean(ledger, index)
    copy_labels(ledger, index)
    freeze(ledger)
    return given_up


def clean(ledger: Ledger, index: Index, passed: Callable[[str], None] | None = None) -> None:
    """Delete the points of dead revisions, then forget them; can be repeated at any place."""
    while dead := ledger.dead():
        index.delete(dead)
        if passed is not None:
            passed("cleaning")
        ledger.forget(dead)


def copy_labels(ledger: Ledger, index: Index) -> None:
    """Bring changed rights and tags into the index; the catalog has obeyed them all along."""
    while changed := ledger.labels_to_copy():
        index.relabel(*changed)
        with ledger.transaction():
            for document in changed:
                ledger.labels_copied(document)


def freeze(ledger: Ledger) -> None:
    """Renew the term statistics of the collections that changed."""
    for collection in ledger.stale_statistics():
        ledger.freeze_statistics(collection)
