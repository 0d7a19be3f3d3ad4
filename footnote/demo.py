"""`footnote demo`: ingest a folder, ask three questions, show cited answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from footnote import show
from footnote.desk import Desk, open_desk
from footnote.ingesting import report
from knowledge.settings import ROOT, Settings

EXAMPLES = ROOT / "examples"
QUESTIONS = (
    "How do I back up an embedded installation?",
    "Who can read a document whose access list is empty?",
    "How many days of annual leave do employees have?",
)
"""About the examples; they cannot answer the last one."""
UNANSWERABLE = "What is the boiling point of tungsten on the planet Venus?"


def demo(settings: Settings, docs: Path | None, *, say: Callable[[str], None]) -> int:
    """Show the whole path on the examples, or on the folder `docs`; return the exit code."""
    folder = (docs or EXAMPLES).absolute()
    collection = "examples" if docs is None else _name(folder)
    print(f"Ingesting {folder} …\n", flush=True)
    with open_desk(settings, command="demo", say=say) as desk:
        events = report(desk.ingest([folder], collection=collection))
        print(show.summary(events))
        for question in _questions(desk, collection, own=docs is not None):
            print(f"\n{'─' * show.WIDTH}\n{show.clean(question)}\n")
            answer = desk.ask(question, effort=None, collection=collection)
            print(show.answer(answer), flush=True)
    print(f'\n{"─" * show.WIDTH}\nNext: make run, or footnote ask --collection {collection} "…"')
    return 0


def _questions(desk: Desk, collection: str, *, own: bool) -> Sequence[str]:
    """Return three questions; the documents cannot answer the last one."""
    if not own:
        return QUESTIONS
    listed = desk.documents(collection=collection, after=None, limit=200)["documents"]
    topics = [_topic(desk, document, collection) for document in _spread(listed)]
    return [*(f"What is said about {topic}?" for topic in topics if topic), UNANSWERABLE]


def _spread(documents: Sequence[Any]) -> Sequence[Any]:
    """Choose two documents that lie apart in the list."""
    return [documents[0], documents[len(documents) // 2]] if len(documents) > 1 else documents


def _topic(desk: Desk, document: Any, collection: str) -> str:  # noqa: ANN401
    """Return what a document is about: its most specific heading near its title, or its title."""
    title = show.clean(document["title"])
    found = desk.search(title, collection=collection, limit=5)["passages"]
    for passage in found:
        if passage["document"]["id"] == document["id"] and passage["heading"]:
            return show.clean(passage["heading"][-1])
    return title


def _name(folder: Path) -> str:
    """Return a collection name for a folder of the user's."""
    kept = "".join(
        letter if letter.isalnum() or letter in "-_ ." else "-" for letter in folder.name
    )
    return kept[:100] or "documents"
