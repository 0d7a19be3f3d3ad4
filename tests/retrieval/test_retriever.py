from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge.access import AccessFilter
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import AccessDenied
from knowledge.models import (
    EVERYONE,
    NOBODY,
    Block,
    BlockKind,
    Chunk,
    Document,
    Effort,
    Embedding,
    Hit,
    Passage,
    Point,
    Principal,
    Question,
    Revision,
    Source,
    Span,
    Turn,
    derive_id,
)
from knowledge.ports import Reranker, VectorSpace
from knowledge.ranking import Ranking
from knowledge.sparse import Bm25Encoder
from knowledge.vocabulary import count_tokens
from retrieval.follow import FOLLOWED
from retrieval.ranker import Ranker
from retrieval.retriever import SPARE_HITS, Retriever, condense
from tests.fakes import FakeEmbedder, FakeIndex

ANN = Principal("ann", groups=frozenset({"staff"}))
SOURCE = Source(id="source", kind="folder", uri="/docs")


class Shelf:
    """A catalog and an index that know the same documents, one chunk each."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.catalog = catalog
        self.index = Counted()
        self.embedder = FakeEmbedder()
        self.sparse = Bm25Encoder()
        catalog.ensure_source(SOURCE)

    def add(
        self,
        text: str,
        *,
        access: frozenset[str] = frozenset({EVERYONE}),
        collection: str = "main",
        title: str = "Title",
    ) -> str:
        """Make a document live; return its id."""
        document = Document(
            id=derive_id(text),
            source_id=SOURCE.id,
            uri=f"/docs/{text}",
            title=title,
            collection=collection,
            access=access,
        )
        revision_id = self.catalog.receive(document, digest="0" * 64, versions="1")
        span = Span(0, len(text))
        chunk = Chunk(derive_id(revision_id, "0"), revision_id, 0, span)
        revision = Revision(
            id=revision_id,
            document_id=document.id,
            digest="0" * 64,
            text=text,
            blocks=(Block(BlockKind.PARAGRAPH, span),),
            parser="1",
            chunker="1",
            seen_at=datetime.now(UTC),
        )
        weights = self.sparse.encode_passage(text)
        self.catalog.store_parsed(revision, [chunk], [weights.indices])
        embedding = Embedding(self.embedder.embed([text])[0], weights)
        self.index.upsert(
            [Point(chunk.id, document.id, revision_id, collection, access, embedding)]
        )
        self.catalog.switch(document, revision_id)
        return document.id

    def retriever(
        self,
        *,
        tokens: int = 1000,
        passages: int = 5,
        ranking: Ranking = Ranking(candidates=10),  # noqa: B008 (frozen)
        reranker: Reranker | None = None,
    ) -> Retriever:
        return Retriever(
            space=lambda: VectorSpace(self.embedder, self.sparse, self.index),
            library=self.catalog,
            cost=lambda passage: count_tokens(passage.text),
            budget=lambda _: tokens,
            context_passages=passages,
            ranker=Ranker(ranking, reranker),
        )


class Counted(FakeIndex):
    """An index that remembers how deep it was asked to look."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        self.limits.append(limit)
        return super().search_each(embedding, access, limit=limit)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    yield Shelf(catalog)
    catalog.close()


def test_the_best_passage_comes_first_and_ranks_count_from_one(shelf: Shelf) -> None:
    for text in ("The canteen opens at noon.", "Parking costs 5 euro.", "Dogs may come along."):
        shelf.add(text)
    found = shelf.retriever().search("When does the canteen open?", ANN)
    assert found[0].text == "The canteen opens at noon."
    assert [passage.rank for passage in found] == [1, 2, 3]


def second_hop(shelf: Shelf, access: frozenset[str]) -> None:
    """A first document that names a second, which shares no word with the question."""
    shelf.add("The budget of the canteen is approved by Zenobia Quarles.")
    for number in range(12):
        shelf.add(f"The canteen has a budget for meal number {number}.")
    shelf.add("Zenobia Quarles works in room 12.", title="Zenobia Quarles", access=access)


QUESTION = "Where is the office of whoever approves the budget of the canteen?"


@pytest.mark.parametrize(
    ("effort", "follow", "readable", "found"),
    [
        (Effort.HIGH, 12, True, True),
        (Effort.HIGH, 12, False, False),
        (Effort.HIGH, 0, True, False),
        (Effort.LOW, 12, True, False),
    ],
)
def test_at_high_effort_names_are_followed_to_what_may_be_read(
    shelf: Shelf, effort: Effort, follow: int, readable: bool, found: bool
) -> None:
    second_hop(shelf, frozenset({EVERYONE} if readable else {"g:board"}))
    retriever = shelf.retriever(ranking=Ranking(candidates=10, follow=follow))
    passages = retriever.search(QUESTION, ANN, limit=8, effort=effort)
    followed = [each for each in passages if each.document.title == "Zenobia Quarles"]
    assert bool(followed) is found
    assert len(passages) == 8
    assert [each.rank for each in passages] == list(range(1, 9))
    if found:
        assert followed[0].steps[-1].stage == FOLLOWED


@pytest.mark.parametrize("effort", [Effort.HIGH, Effort.LOW])
def test_a_context_has_what_was_followed_at_high_effort(shelf: Shelf, effort: Effort) -> None:
    second_hop(shelf, frozenset({EVERYONE}))
    retriever = shelf.retriever(ranking=Ranking(candidates=10), passages=8)
    context = retriever.retrieve(Question(QUESTION, effort=effort), ANN)
    told = any("room 12" in each.text for each in context.passages)
    assert told is (effort is Effort.HIGH)


def test_never_more_passages_come_than_asked_for(shelf: Shelf) -> None:
    for n in range(12):
        shelf.add(f"The canteen opens at {n}.")
    assert len(shelf.retriever().search("canteen", ANN, limit=5)) == 5


def test_nobody_is_denied_before_anything_is_searched(shelf: Shelf) -> None:
    with pytest.raises(AccessDenied):
        shelf.retriever().search("canteen", NOBODY)
    assert shelf.index.limits == []


def test_the_catalog_turns_away_what_a_stale_index_still_shows(shelf: Shelf) -> None:
    secret = shelf.add("The canteen will close.", access=frozenset({"g:staff"}))
    shelf.add("The canteen opens at noon.")
    retriever = shelf.retriever()
    assert len(retriever.search("canteen", ANN)) == 2
    shelf.catalog.set_access(secret, frozenset({"g:board"}))
    assert [p.text for p in retriever.search("canteen", ANN)] == ["The canteen opens at noon."]


def test_a_list_stays_full_when_the_best_hits_are_turned_away(shelf: Shelf) -> None:
    for n in range(40):
        removed = shelf.add(f"canteen canteen {n}")
        shelf.catalog.remove(removed)
    for n in range(10):
        shelf.add(f"The canteen serves a soup and a dessert on day {n}.")
    found = shelf.retriever().search("canteen", ANN, limit=10)
    assert len(found) == 10
    assert shelf.index.limits[0] == 10 + SPARE_HITS
    assert len(shelf.index.limits) > 1


def test_a_short_page_is_not_asked_for_again(shelf: Shelf) -> None:
    shelf.add("The canteen opens at noon.")
    shelf.retriever(ranking=Ranking(candidates=10, relevance_feedback=0)).search("canteen", ANN)
    assert len(shelf.index.limits) == 1


STEERED = Ranking(candidates=10, word_weight=0, relevance_feedback=0.5)
ABOUT = "canteen kitchen stove oven"
OTHERS = (
    "kitchen stove oven",
    "canteen staff leave parking winter hours fees rooms keys badges dogs bikes",
)


def test_what_is_like_the_best_passage_comes_nearer(shelf: Shelf) -> None:
    for text in (ABOUT, *OTHERS):
        shelf.add(text)
    once = shelf.retriever(ranking=replace(STEERED, relevance_feedback=0)).search("canteen", ANN)
    steered = shelf.retriever(ranking=STEERED).search("canteen", ANN)
    assert [each.text for each in once] == [ABOUT, *reversed(OTHERS)]
    assert [each.text for each in steered] == [ABOUT, *OTHERS]


@pytest.mark.parametrize("believed", [False, True])
def test_a_passage_that_may_not_be_read_steers_no_search(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, believed: bool
) -> None:
    """The index is stale, and still shows it; where that is believed, the order tells of it."""
    secret = shelf.add(ABOUT, access=frozenset({"g:staff"}))
    for text in OTHERS:
        shelf.add(text)
    shelf.catalog.set_access(secret, frozenset({"g:board"}))
    if believed:
        [told] = [p.embedding.dense for p in shelf.index.points.values() if p.document_id == secret]
        monkeypatch.setattr(shelf.index, "vectors", lambda ids: dict.fromkeys(ids, told))
    found = shelf.retriever(ranking=STEERED).search("canteen", ANN)
    assert ([each.text for each in found] == [*reversed(OTHERS)]) is not believed


def test_passages_that_may_not_be_read_keep_no_search_from_being_steered(shelf: Shelf) -> None:
    for text in (ABOUT, *OTHERS):
        shelf.add(text)
    before = shelf.retriever(ranking=STEERED).search("canteen", ANN)
    for number in range(6):
        secret = shelf.add(f"canteen {number}", access=frozenset({"g:staff"}))
        shelf.catalog.set_access(secret, frozenset({"g:board"}))
    after = shelf.retriever(ranking=STEERED).search("canteen", ANN)
    assert [each.text for each in after] == [each.text for each in before] == [ABOUT, *OTHERS]


def test_a_collection_narrows_the_search(shelf: Shelf) -> None:
    shelf.add("The canteen opens at noon.", collection="house")
    shelf.add("The canteen is new.", collection="news")
    found = shelf.retriever().search("canteen", ANN, collection="news")
    assert [passage.document.collection for passage in found] == ["news"]


def test_documents_narrow_the_search_under_both_keys(shelf: Shelf) -> None:
    noon, secret = shelf.add("The canteen opens at noon."), shelf.add("The canteen will close.")
    shelf.catalog.set_access(secret, frozenset({"g:board"}))
    retriever = shelf.retriever()
    for ids, expected in ([noon], [noon]), ([noon, secret], [noon]), ([secret], []):
        found = retriever.search("canteen", ANN, document_ids=ids)
        assert [passage.document.id for passage in found] == expected
    context = retriever.retrieve(Question("canteen", document_ids=(secret,)), ANN)
    assert context.passages == ()
    hits = [Hit(each, 1.0) for each in shelf.index.points]
    kept = shelf.catalog.passages(hits, ANN, document_ids=[secret])
    assert kept == []  # the catalog narrows too, whatever the index brings


def test_a_context_holds_what_fits_the_budget(shelf: Shelf) -> None:
    for n in range(8):
        shelf.add(f"The canteen serves soup number {n}.")
    context = shelf.retriever(tokens=30).retrieve(Question("canteen soup"), ANN)
    assert 0 < context.tokens <= 30
    assert 1 <= len(context.passages) < 5


def test_a_document_of_endless_words_does_not_overfill_the_budget(shelf: Shelf) -> None:
    shelf.add(f"The canteen serves {'soup' * 1000}.")
    shelf.add("The canteen serves soup.")
    context = shelf.retriever(tokens=60).retrieve(Question("canteen soup"), ANN)
    assert [passage.text for passage in context.passages] == ["The canteen serves soup."]


def test_a_follow_up_is_searched_with_what_was_asked_before(shelf: Shelf) -> None:
    shelf.add("In winter the canteen opens at eleven.")
    shelf.add("In winter the garage is heated.")
    history = (Turn("user", "When does the canteen open?"), Turn("assistant", "At noon. [1]"))
    question = Question("And in winter?", history=history)
    [first, *_] = shelf.retriever().retrieve(question, ANN).passages
    assert "canteen" in first.text


def test_only_the_last_questions_are_remembered_and_never_the_answers() -> None:
    history = tuple(
        turn for n in range(5) for turn in (Turn("user", f"q{n}"), Turn("assistant", f"a{n}"))
    )
    assert condense(Question("now", history=history)) == "now\nq4\nq3"


def _steps(passage: Passage) -> list[str]:
    return [step.stage for step in passage.steps]


def test_each_passage_tells_how_it_came_to_its_rank(shelf: Shelf) -> None:
    shelf.add("The canteen opens at noon.")
    shelf.add("A parking lot is behind the house.")
    first, second = shelf.retriever().search("When does the canteen open?", ANN)
    assert _steps(first) == ["meaning", "words", "fused"]
    assert _steps(second) == ["meaning", "fused"]  # it shares no word
    assert [step.rank for step in first.steps] == [1, 1, 1]
    assert first.steps[-1].score == first.score > second.score


def test_what_the_catalog_turns_away_leaves_no_gap_in_the_steps(shelf: Shelf) -> None:
    secret = shelf.add("canteen canteen canteen", access=frozenset({"g:staff"}))
    shelf.add("The canteen opens at noon.")
    before = shelf.retriever().search("canteen", ANN)
    assert [[step.rank for step in each.steps][:2] for each in before] == [[1, 1], [2, 2]]
    shelf.catalog.set_access(secret, frozenset({"g:board"}))
    [left] = shelf.retriever().search("canteen", ANN)
    assert [step.rank for step in left.steps] == [1, 1, 1]


def test_each_stage_has_a_switch(shelf: Shelf) -> None:
    class Last:
        def scores(self, query: str, texts: Sequence[str]) -> list[float]:
            return [float("parking" in text) for text in texts]

    for text in ("The canteen opens at noon.", "the canteen opens at noon.", "A parking lot."):
        shelf.add(text)

    plain = Ranking(candidates=10)

    def found(ranking: Ranking = plain, reranker: Reranker | None = None) -> list[str]:
        retriever = shelf.retriever(ranking=ranking, reranker=reranker)
        return [each.text for each in retriever.search("canteen", ANN)]

    one, copy, lot = "The canteen opens at noon.", "the canteen opens at noon.", "A parking lot."
    assert set(found()[:2]) == {one, copy}
    assert found(replace(plain, collapse=True))[1] == lot
    assert found(reranker=Last())[0] == lot
    assert found(replace(plain, fusion="places"))[0] in (one, copy)
    assert set(found(replace(plain, word_weight=1.0))[:2]) == {one, copy}
    assert len(found(replace(plain, spread=1, recency=0.5))) == 3


def test_with_places_alone_the_order_is_that_of_even_rank_fusion(shelf: Shelf) -> None:
    for n in range(12):
        shelf.add(f"The {'canteen ' * (n % 4)} opens on day {n} {'in winter' * (n % 3)}")
    ranking = Ranking(fusion="places", collapse=False)
    found = shelf.retriever(ranking=ranking).search("canteen in winter", ANN, limit=12)
    near = sorted(found, key=lambda each: each.steps[0].rank)
    assert [each.steps[0].rank for each in near] == list(range(1, 13))
    scores = [
        sum(61 / (60 + step.rank) / 2 for step in each.steps if step.stage in ("meaning", "words"))
        for each in found
    ]
    assert scores == pytest.approx([each.score for each in found])
    assert scores == sorted(scores, reverse=True)
