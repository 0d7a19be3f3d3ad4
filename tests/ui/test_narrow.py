from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from streamlit.testing.v1 import AppTest

from knowledge.models import UNFILTERED, Facet, Facets, Filters
from tests.ui import scripted
from tests.ui.scripted import Script
from tests.ui.visits import Visit, aside, ask, seen
from ui import narrow

PDF = "application/pdf"
OFFERED = Facets(
    sources=(Facet("share", 1, "smb://files/hr/"),),
    types=(Facet(PDF, 2, PDF), Facet("text/html", 1, "text/html"), Facet("x/rare", 1, "x/rare")),
    languages=(Facet("de", 1, "de"), Facet("xx", 1, "xx")),
    tags=(Facet("travel", 1, "travel"), Facet("all of them", 3, "all of them")),
    first=datetime(2024, 1, 31, tzinfo=UTC),
    last=datetime(2026, 3, 31, tzinfo=UTC),
)


@pytest.fixture
def script() -> Script:
    papers = [scripted.document(f"Paper {n}", f"/shared/{n}.pdf") for n in range(3)]
    labelled = replace(
        papers[0], tags=frozenset({"travel"}), language="de", media_type=PDF, source_id="share"
    )
    return Script(stored=[labelled, *papers[1:]], offered=OFFERED)


@pytest.fixture
def page(script: Script, visit: Visit) -> Iterator[AppTest]:
    with scripted.serving(script) as url:
        yield visit(url)


def test_what_documents_differ_in_is_offered_in_words_of_people(page: AppTest) -> None:
    assert page.multiselect[0].options == [
        *("Source: smb://files/hr/", "Format: PDF", "Format: HTML", "Format: x/rare"),
        *("Language: German", "Language: xx", "Tag: travel"),
    ]


def test_a_question_goes_with_what_it_is_narrowed_to_and_says_so(
    page: AppTest, script: Script
) -> None:
    chosen = ["Format: PDF", "Format: HTML", "Language: German", "Tag: travel"]
    page.multiselect[0].set_value([*chosen, "Source: smb://files/hr/"]).run()
    ask(page, "How?")

    assert script.asked[-1].filters == Filters(
        sources=frozenset({"share"}),
        types=frozenset({PDF, "text/html"}),
        languages=frozenset({"de"}),
        tags=frozenset({"travel"}),
    )
    assert f"Only {' · '.join(chosen)} · Source: smb://files/hr/" in seen(page)

    page.multiselect[0].set_value([]).run()
    ask(page, "And all?")
    assert script.asked[-1].filters == UNFILTERED
    assert seen(page).count("fn-narrowed") == 1, "the earlier question keeps what it was"


def test_the_list_shows_the_documents_that_fit(page: AppTest) -> None:
    assert "Paper 1" in aside(page)

    page.multiselect[0].set_value(["Tag: travel"]).run()

    assert "Documents that fit" in aside(page)
    assert "Paper 0" in aside(page) and "Paper 1" not in aside(page)


def test_dates_are_whole_days_and_may_have_no_end(page: AppTest, script: Script) -> None:
    page.date_input[0].set_value([date(2025, 1, 1)]).run()
    ask(page, "Since?")
    assert script.asked[-1].filters == Filters(since=datetime(2025, 1, 1, tzinfo=UTC))
    assert "Only Dated from 2025-01-01" in seen(page)

    page.date_input[0].set_value([date(2025, 1, 1), date(2025, 1, 31)]).run()
    ask(page, "In January?")
    assert script.asked[-1].filters == Filters(
        since=datetime(2025, 1, 1, tzinfo=UTC), until=datetime(2025, 2, 1, tzinfo=UTC)
    )


def test_what_is_offered_no_more_is_chosen_no_more(
    page: AppTest, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow, "FRESH_SECONDS", 0.0)
    page.multiselect[0].set_value(["Format: PDF", "Tag: travel"]).run()
    script.offered = replace(OFFERED, tags=())
    page.run()
    ask(page, "How?")

    assert page.multiselect[0].value == ["Format: PDF"]
    assert script.asked[-1].filters == Filters(types=frozenset({PDF}))


def test_nothing_is_offered_where_nothing_differs(page: AppTest, script: Script) -> None:
    script.stored, script.offered = script.stored[:1], Facets(types=(Facet(PDF, 1, PDF),))
    page.run()

    assert not page.multiselect and not page.date_input
    ask(page, "How?")
    assert script.asked[-1].filters == UNFILTERED


def test_the_service_is_asked_anew_once_a_minute_or_for_another_collection(
    page: AppTest, script: Script
) -> None:
    script.stored[1] = replace(script.stored[1], collection="travel")
    page.run()
    page.run()
    assert script.offered_of == [None]

    page.selectbox(key="collection").set_value("travel").run()
    assert script.offered_of == [None, "travel"]
    assert page.chat_input[0].placeholder == "Ask a question about travel"


def test_a_look_at_the_operations_loses_nothing(page: AppTest, script: Script) -> None:
    script.stored[1] = replace(script.stored[1], collection="travel")
    page.run()
    page.selectbox(key="collection").set_value("main").run()
    page.multiselect[0].set_value(["Tag: travel"]).run()
    page.date_input[0].set_value([date(2025, 1, 1)]).run()

    page.button_group[0].set_value("Operations").run()
    page.button_group[0].set_value("Questions").run()
    ask(page, "How?")

    since = datetime(2025, 1, 1, tzinfo=UTC)
    assert script.asked[-1].filters == Filters(tags=frozenset({"travel"}), since=since)
    assert script.asked[-1].collection == "main"


def test_a_collection_stays_chosen_when_a_document_comes(page: AppTest, script: Script) -> None:
    script.stored[1] = replace(script.stored[1], collection="travel")
    page.run()
    page.selectbox(key="collection").set_value("travel").run()
    script.stored[2] = replace(script.stored[2], collection="travel")
    page.run()
    ask(page, "By train?")

    assert script.asked[-1].collection == "travel"
