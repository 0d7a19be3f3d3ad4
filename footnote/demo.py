"""`footnote demo`: ingest a folder, ask three questions, show cited answers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from footnote import show
from footnote.desk import Desk, open_desk
from footnote.ingesting import report
from knowledge.settings import ROOT, Settings
from knowledge.text import sentence_spans

EXAMPLES = ROOT / "examples"
QUESTIONS = (
    "How do I back up an embedded installation?",
    "Who can read a document whose access list is empty?",
    "How many days of annual leave do employees have?",
)
"""About the examples; they cannot answer the last one."""
UNANSWERABLE = "What is the boiling point of tungsten on the planet Venus?"
WANTED = 2
"""Questions about a folder of the user's that its documents answer."""
MOST_TRIED = 24
OPENING_WORDS = 8


def demo(settings: Settings, docs: Path | None, *, say: Callable[[str], None]) -> int:
    """Show the whole path on the examples, or on the folder `docs`; return the exit code."""
    folder = (docs or EXAMPLES).absolute()
    collection = "examples" if docs is None else _name(folder)
    print(f"Ingesting {folder} …", flush=True)
    with open_desk(settings, command="demo", say=say) as desk:
        events = report(desk.ingest([folder], collection=collection))
        print(show.summary(events))
        for question, answer in _answered(desk, collection, own=docs is not None):
            print(f"\n{'─' * show.WIDTH}\n{show.clean(question)}\n")
            print(show.answer(answer), flush=True)
    print(f"\n{'─' * show.WIDTH}\n{_next(collection)}")
    return 0


def _next(collection: str) -> str:
    ask = f'.venv/bin/footnote ask --collection {shlex.quote(collection)} "…"'
    return f"Next: make run (the page and the API), or {ask}"


def _answered(desk: Desk, collection: str, *, own: bool) -> Iterator[tuple[str, Any]]:
    """Yield three questions with their answers; the documents cannot answer the last one."""
    if own:
        yield from _about_own(desk, collection)
    for question in (UNANSWERABLE,) if own else QUESTIONS:
        yield question, desk.ask(question, effort=None, collection=collection)


def _about_own(desk: Desk, collection: str) -> Iterator[tuple[str, Any]]:
    """Ask what is said about headings of the documents, until enough of it has been answered."""
    listed = desk.documents(collection=collection, after=None, limit=200)["documents"]
    left = WANTED
    for _, topic in zip(range(MOST_TRIED), _topics(desk, listed, collection), strict=False):
        question = f"What is said about {topic}?"
        answer = desk.ask(question, effort=None, collection=collection)
        if answer["verdict"] != "not_found":
            yield question, answer
            left -= 1
        if not left:
            return


def _topics(desk: Desk, documents: Sequence[Any], collection: str) -> Iterator[str]:
    """Yield a topic of each document, then a second one of each, then a third."""
    each = [_topics_of(desk, document, collection) for document in documents[:MOST_TRIED]]
    for nth in range(3):
        yield from (topics[nth] for topics in each if len(topics) > nth)


def _topics_of(desk: Desk, document: Any, collection: str) -> list[str]:  # noqa: ANN401
    """Return what a document is about: a heading, its title, and how a sentence in it begins."""
    title = show.clean(document["title"])
    found = desk.search(title, collection=collection, limit=20)["passages"]
    own = [passage for passage in found if passage["document"]["id"] == document["id"]]
    headings = [show.clean(passage["heading"][-1]) for passage in own if passage["heading"]]
    openings = [_opening(passage["text"]) for passage in own]
    topics = [*headings[:1], title, *filter(None, openings[:1])]
    return [topic.rstrip(" :.?") for topic in dict.fromkeys(topics)]


def _opening(text: str) -> str:
    """Return the first words of the first sentence that has more than these, in quotes."""
    for span in sentence_spans(text):
        words = show.clean(span.cut(text)).replace('"', "").split()
        if len(words) > OPENING_WORDS:
            return f"“{' '.join(words[:OPENING_WORDS])} …”"
    return ""


def _name(folder: Path) -> str:
    """Return a collection name for a folder of the user's."""
    kept = "".join(
        letter if letter.isalnum() or letter in "-_ ." else "-" for letter in folder.name
    )
    return kept[:100] or "documents"
