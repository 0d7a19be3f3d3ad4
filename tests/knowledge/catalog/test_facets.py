"""What is offered for narrowing is what the list of readable documents holds, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from knowledge.catalog import facets
from knowledge.catalog.store import SqlCatalog
from knowledge.models import EVERYONE, NOBODY, Document, Facet, Facets, Filters, Source
from tests.catalogs import ALICE, BOB, document, publish

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
SHARE = Source("share", kind="smb", uri="smb://files/")
UPLOAD = Source("upload", kind="upload", uri="upload:ann/plan.pdf")
SECRET = frozenset({"u:bob"})


def paper(
    number: int, source: Source = SHARE, access: frozenset[str] = frozenset({EVERYONE})
) -> Document:
    """A document whose labels follow from its number."""
    where = "hr" if number % 3 else "it"
    return replace(
        document(
            f"smb://files/{where}/{number}.pdf", source=source, access=access, collection=where
        ),
        media_type="application/pdf" if number % 2 else "text/plain",
        language=("", "de", "en")[number % 3],
        tags=frozenset(["travel", "2026"][: number % 3]),
        dated_at=NOON + timedelta(days=number) if number % 4 else None,
    )


@pytest.fixture
def papers(catalog: SqlCatalog) -> list[Document]:
    """Twelve that all may read, and two of Bob's with labels that no other has."""
    hidden = replace(
        paper(99, access=SECRET), media_type="image/png", language="fr", tags=frozenset({"merger"})
    )
    made = [*map(paper, range(10)), paper(10, UPLOAD), paper(11, UPLOAD), hidden]
    with catalog.transaction():
        for source in (SHARE, UPLOAD):
            catalog.ensure_source(source)
        for each in made:
            publish(catalog, each, "text")
    return made


def test_what_is_offered_is_counted_over_what_one_may_read(
    catalog: SqlCatalog, papers: list[Document]
) -> None:
    for who, readable in ((ALICE, papers[:-1]), (BOB, papers)):
        found = catalog.facets(who)
        assert counts(found.types) == Counter(each.media_type for each in readable)
        assert counts(found.languages) == Counter(
            each.language for each in readable if each.language
        )
        assert counts(found.tags) == Counter(tag for each in readable for tag in each.tags)
        assert counts(found.sources) == {SHARE.id: len(readable) - 2}
        dates = [each.dated_at for each in readable if each.dated_at]
        assert (found.first, found.last) == (min(dates), max(dates))


def test_without_the_rights_what_is_hidden_would_be_offered(
    catalog: SqlCatalog, papers: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden() -> int:
        values = {each.value for kind in kinds(catalog.facets(ALICE)) for each in kind}
        return len(values & {"image/png", "fr", "merger"})

    assert hidden() == 0
    monkeypatch.setattr(facets, "tokens_of", lambda _: {"tokens": [EVERYONE, *SECRET]})
    print(f"\nhidden labels that are offered: 0, without the rights {hidden()}")
    assert hidden() == 3


def test_every_value_that_is_offered_finds_as_many_as_it_says(
    catalog: SqlCatalog, papers: list[Document]
) -> None:
    for collection in (None, "hr", "it", "none"):
        found = catalog.facets(ALICE, collection=collection)
        narrowings: list[tuple[tuple[Facet, ...], Callable[[str], Filters]]] = [
            (found.sources, lambda value: Filters(sources=frozenset({value}))),
            (found.types, lambda value: Filters(types=frozenset({value}))),
            (found.languages, lambda value: Filters(languages=frozenset({value}))),
            (found.tags, lambda value: Filters(tags=frozenset({value}))),
        ]
        for offered, narrowed in narrowings:
            for each in offered:
                filters = narrowed(each.value)
                listed = catalog.documents(
                    ALICE, collection=collection, after=None, limit=99, filters=filters
                )
                assert len(listed) == each.documents
    assert catalog.facets(ALICE, collection="none") == Facets()


def test_a_source_is_named_for_what_the_reader_sees_of_it(
    catalog: SqlCatalog, papers: list[Document]
) -> None:
    def name(collection: str | None) -> str:
        (source,) = catalog.facets(ALICE, collection=collection).sources
        return source.name

    assert (name(None), name("hr")) == ("smb://files/", "smb://files/hr/")


def test_nobody_is_offered_nothing(catalog: SqlCatalog, papers: list[Document]) -> None:
    assert catalog.facets(NOBODY) == Facets()


def test_the_commonest_come_first_and_few_of_many(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MOST", 2)
    for number, tags in enumerate(["ab", "abc", "b"]):
        publish(catalog, replace(document(f"{number}"), tags=frozenset(tags)), "text")
    assert [each.value for each in catalog.facets(ALICE).tags] == ["b", "a"]


def counts(offered: Iterable[Facet]) -> dict[str, int]:
    return {each.value: each.documents for each in offered}


def kinds(found: Facets) -> tuple[tuple[Facet, ...], ...]:
    return found.sources, found.types, found.languages, found.tags
