"""`footnote calibrate`: chooses from which probability on quotes are given as an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from footnote import fitting
from footnote.fitting import Example, Point
from footnote.owner import owner, try_own
from footnote.wiring import House
from footnote.wiring.house import CALIBRATION
from ingest.golden import make_questions
from knowledge.errors import ConfigurationError, OwnedElsewhere
from knowledge.models import Context, Document, Principal, Question, Turn
from knowledge.settings import Settings
from retrieval.retriever import SURROUNDINGS
from serving.answerable import SHIPPED, Weights, features, read_weights
from serving.auth import LOCAL

MOST = 300
"""Questions that are made of headings."""
IN_A_CONTEXT = 12
FEWEST = 10
"""Questions of either kind without which nothing can be chosen."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command was asked to do."""

    questions: Path | None
    """A file of questions, a line of JSON each; None: they are made of headings."""
    answered: float
    """Share of the answerable questions that is to be answered."""
    dry_run: bool


def calibrate(settings: Settings, wish: Wish, *, say: Callable[[str], None]) -> int:
    """Print the curve, and keep what was chosen in the data folder."""
    if not settings.embedded:
        with House(settings) as house:
            return _calibrate(house, wish, say)
    held = try_own(settings.data_dir, command="calibrate")
    if held is None:
        told = owner(settings.data_dir)
        raise OwnedElsewhere(f"the data folder is in use ({told}); stop it, and run this again")
    with held, House(settings) as house:
        return _calibrate(house, wish, say)


def _calibrate(house: House, wish: Wish, say: Callable[[str], None]) -> int:
    say("asking the questions …")
    made = _given(house, wish.questions) if wish.questions else _from_headings(house)
    examples = list(made)
    kinds = [sum(each.answered is kind for each in examples) for kind in (True, False)]
    if min(kinds) < FEWEST:
        raise ConfigurationError(
            f"{kinds[0]} questions with an answer and {kinds[1]} without are too few; give at "
            f"least {FEWEST} of each with --questions, or ingest more documents with headings"
        )
    weights, found = _weigh(house, examples, fits=bool(wish.questions))
    answered = [each.answered for each in examples]
    points = fitting.curve(found, answered)
    chosen = fitting.choose(points, answered=wish.answered)
    _tell(points, chosen, kinds, fitting.area(found, answered))
    path = house.settings.data_dir / CALIBRATION
    if not wish.dry_run:
        kept = replace(weights, threshold=chosen.threshold)
        path.write_text(kept.written() + "\n", encoding="utf-8")
        print(f"\nKept in {path}; a running service takes it up when it starts again.")
        print("Where others serve from another data folder, copy the file there, or set for them:")
        print(f"FOOTNOTE_ANSWERABLE={chosen.threshold:g}")
    return 0


def _weigh(
    house: House, examples: Sequence[Example], *, fits: bool
) -> tuple[Weights, Sequence[float]]:
    """Return weights and each example's probability: by new ones held out, or by those that ship.

    Questions made of headings are easier than what people ask: they choose a threshold, but fit
    weights only where none are known for the embedding model.
    """
    shipped = read_weights(SHIPPED)
    enough = all(
        sum(each.answered is kind for each in examples) >= fitting.FEWEST for kind in (True, False)
    )
    if (fits and enough) or shipped.embedder != house.embedder.name:
        return fitting.fit(examples, house.embedder.name), fitting.held_out(examples)
    return shipped, [shipped.probability(each.features) for each in examples]


def _given(house: House, path: Path) -> Iterator[Example]:
    """Ask what a file holds: `question`, `answerable`, and if wanted `history` and `group`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            history = tuple(Turn(turn["role"], turn["text"]) for turn in row.get("history", ()))
            question = Question(str(row["question"]), history=history)
            answered, group = row["answerable"], str(row.get("group", number))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path}, line {number}: needs question and answerable (true or false)"
            raise ConfigurationError(message) from error
        context = house.retriever.retrieve(question, LOCAL)
        if example := _example(house, context, group, answered=answered is True):
            yield example


def _from_headings(house: House) -> Iterator[Example]:
    """Ask each heading twice: with the document it stands in, and without it and its like."""
    ids = [each.id for each in _documents(house)]
    for golden in make_questions(house.catalog, ids, most=MOST):
        reader = _reader(golden.access)
        document = house.catalog.document(golden.document_id, reader)
        found = house.retriever.search(golden.query, reader, limit=SURROUNDINGS)
        others = [each for each in found if not _alike(each.document, document)]
        question = Question(golden.query)
        for passages, answered in ((found, True), (others, False)):
            there = tuple(each.chunk_id for each in passages)
            context = Context(question, tuple(passages[:IN_A_CONTEXT]), found=there)
            if example := _example(house, context, document.id, answered=answered):
                yield example


def _documents(house: House) -> Iterable[Document]:
    after: str | None = None
    while page := house.catalog.documents(LOCAL, collection=None, after=after, limit=500):
        yield from page
        after = page[-1].id


def _alike(one: Document, other: Document) -> bool:
    return one.id == other.id or bool(one.family and one.family == other.family)


def _reader(access: frozenset[str]) -> Principal:
    """Return somebody who may read what these tokens allow."""
    users = [token[2:] for token in sorted(access) if token.startswith("u:")]
    groups = frozenset(token[2:] for token in access if token.startswith("g:"))
    return Principal(users[0] if users else "calibrate", groups)


def _example(house: House, context: Context, group: str, *, answered: bool) -> Example | None:
    vectors = house.index.vectors
    found = features(context, house.embedder, vectors)
    return Example(found, answered, group) if found else None


def _tell(points: Sequence[Point], chosen: Point, kinds: Sequence[int], area: float) -> None:
    print(f"{kinds[0]} questions with an answer, {kinds[1]} without; AUROC {area:.3f}\n")
    print("           of the refused,   of those without   of those with")
    print("threshold  have no answer    are refused        are answered")
    for point in points:
        mark = "  <- chosen" if point == chosen else ""
        told = f"{point.precision:>14.0%}  {point.recall:>17.0%}  {point.answered:>15.0%}"
        print(f"{point.threshold:>9.2f}  {told}{mark}")
