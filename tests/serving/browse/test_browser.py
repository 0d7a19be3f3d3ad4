from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.models import Filters, Principal, Question
from knowledge.settings import Settings
from serving.browse.arguments import TOOLS
from serving.browse.browser import Browser
from serving.prompt import MOST_SOURCES
from tests.house import QuickHouse

ALICE = Principal("alice", groups=frozenset({"hr"}))
BOB = Principal("bob")
HOURS = "# Opening hours\n\nThe office opens at nine.\n\nIt closes at five on Fridays."
MERGER = "# Merger\n\nThe merger with Zebra is planned for May."


@pytest.fixture
def house(tmp_path: Path) -> Iterator[QuickHouse]:
    with QuickHouse(Settings(_env_file=None, data_dir=tmp_path)) as house:
        yield house


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickHouse]:
    """A house with one document of alice's, for tests that only read."""
    folder = tmp_path_factory.mktemp("house")
    with QuickHouse(Settings(_env_file=None, data_dir=folder)) as house:
        house.take_in("hours.md", HOURS, ALICE)
        yield house


OPENING = Question("When does it open?")


def browser(house: QuickHouse, who: Principal, asked: Question = OPENING) -> Browser:
    context = house.retriever.retrieve(asked, who)
    return Browser(house.retriever, house.catalog, context, who, lambda text: len(text.split()))


def call(browsing: Browser, tool: str, **arguments: object) -> str:
    return browsing.call(tool, json.dumps(arguments))


def test_the_tools_have_the_names_and_arguments_that_the_model_was_trained_with() -> None:
    functions = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    assert {name: set(each["properties"]) for name, each in functions.items()} == {
        "search": {"query", "topn"},
        "open": {"id", "cursor", "loc", "num_lines"},
        "find": {"pattern", "cursor"},
    }
    assert {name: each["required"] for name, each in functions.items()} == {
        "search": ["query"],
        "open": [],
        "find": ["pattern"],
    }


def test_what_was_searched_opened_and_found_can_be_cited(open_house: QuickHouse) -> None:
    browsing = browser(open_house, ALICE)
    assert browsing.first.startswith("[0] Search results for `When does it open?`")
    assert "【0†" in call(browsing, "search", query="office opens")
    opened = call(browsing, "open", id=0, cursor=1)
    assert opened.startswith("[2] ")
    found = call(browsing, "find", pattern="FRIDAYS")
    assert "match at L" in found
    (line,) = (line for line in found.splitlines() if "closes at five" in line)
    number = line.partition(":")[0].removeprefix("L")
    assert browsing.read_mark(f"3†L{number}") == [1]
    assert browsing.read_mark(f"3†L{number}-L{number}, 3†L{number}") == [1]
    (cited,) = browsing.cited
    assert cited.text == "It closes at five on Fridays."
    assert cited.document.title == "Opening hours"


def test_a_page_is_scrolled_by_lines(house: QuickHouse) -> None:
    text = "\n\n".join(f"Paragraph {n} says something of its own." for n in range(60))
    house.take_in("long.txt", text, ALICE)
    browsing = browser(house, ALICE, Question("paragraph"))
    call(browsing, "open", id=0)
    assert "\nL20: Paragraph 10 says" in call(browsing, "open", loc=20, num_lines=3)
    assert call(browsing, "open", loc=100_000).startswith("Error: The page ends with line")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search", "{}"),
        ("search", "no json"),
        ("search", "[1]"),
        ("search", '{"query": ""}'),
        ("search", '{"query": 7}'),
        ("open", '{"id": 99}'),
        ("open", '{"id": "/etc/passwd"}'),
        ("open", '{"cursor": 12}'),
        ("open", '{"cursor": -2}'),
        ("open", '{"id": [1]}'),
        ("find", '{"pattern": "x"}'),
        ("find", '{"pattern": "x", "cursor": 0}'),
        ("browser.search", '{"query": "x"}'),
        ("python", '{"code": "1"}'),
        ("", ""),
    ],
)
def test_what_a_model_gets_wrong_is_answered_in_words(
    open_house: QuickHouse, tool: str, arguments: str
) -> None:
    assert browser(open_house, ALICE).call(tool, arguments).startswith("Error: ")


def test_other_arguments_are_passed_over(open_house: QuickHouse) -> None:
    assert call(browser(open_house, ALICE), "search", query="office", source="web").startswith(
        "[1] "
    )


@pytest.mark.parametrize(
    ("mark", "numbers"),
    [
        ("0†L1", [1]),
        ("0 † L1 - L2", [1]),
        ("０†L１", [1]),
        ("0†L0", [0]),
        ("0†L900", [0]),
        ("7†L1", [0]),
        ("0†source", [0]),
        ("0†L1-L2; 9†L1", [1, 0]),
        ("1", [0]),
        ("^2, 3", [0]),
        ("sic", None),
        ("see L3", None),
    ],
)
def test_only_lines_that_were_shown_have_a_number_other_than_zero(
    open_house: QuickHouse, mark: str, numbers: list[int] | None
) -> None:
    assert browser(open_house, ALICE).read_mark(mark) == numbers


def test_the_number_of_citations_has_a_bound(house: QuickHouse) -> None:
    house.take_in("long.txt", "\n\n".join(f"Number {n} is here." for n in range(100)), ALICE)
    browsing = browser(house, ALICE, Question("number"))
    call(browsing, "open", id=0, num_lines=1)
    for n in range(100):
        browsing.read_mark(f"1†L{2 * n}")
    assert len(browsing.cited) == MOST_SOURCES


def test_a_model_sees_no_more_than_the_person_who_asks(house: QuickHouse) -> None:
    house.take_in("merger.md", MERGER, ALICE)
    secret = house.take_in("more.md", MERGER.replace("May", "June"), ALICE)
    house.take_in("hours.md", HOURS, BOB, "everyone")
    browsing = browser(house, BOB, Question("When is the merger with Zebra?"))
    shown = [
        browsing.first,
        call(browsing, "search", query="merger Zebra May"),
        call(browsing, "open", id=secret),
        call(browsing, "open", id=0),
        call(browsing, "find", pattern="merger"),
    ]
    assert not any("is planned" in text or "# Merger" in text for text in shown)
    assert shown[2] == call(browsing, "open", id="00000000-0000-5000-8000-000000000000")


def test_rights_are_asked_for_in_each_call(house: QuickHouse) -> None:
    document = house.take_in("merger.md", MERGER, ALICE, "u:bob")
    browsing = browser(house, BOB, Question("When is the merger?"))
    assert "planned for May" in call(browsing, "open", id=0)
    house.intake.set_access(document, frozenset({"u:alice"}))
    gone = "Error: There is no such document."
    assert call(browsing, "open", id=0, cursor=0) == gone
    assert call(browsing, "open", id=document) == gone
    assert call(browsing, "open", loc=0) == gone
    assert call(browsing, "find", pattern="May") == gone
    assert "No results" in call(browsing, "search", query="merger May")


def test_a_search_stays_within_what_the_question_is_narrowed_to(open_house: QuickHouse) -> None:
    narrowed = Question("When does it open?", filters=Filters(tags=frozenset({"none"})))
    browsing = browser(open_house, ALICE, narrowed)
    assert "No results" in call(browsing, "search", query="office opens at nine")


# --- working out --------------------------------------------------------------------------------

COSTS = "Costs of 2025\n\nSoup: 1,200.50 euro\n\nCake: 799.50 euro\n\nRefunds: -100 euro"


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("costs"))
    with QuickHouse(settings) as house:
        house.take_in("costs.txt", COSTS, ALICE)
        context = house.retriever.retrieve(Question("What are the costs?"), ALICE)
        browsing = Browser(house.retriever, house.catalog, context, ALICE, len, calculates=True)
        call(browsing, "open", id=0)
        yield browsing


def of(browsing: Browser, expression: str, **values: list[str]) -> str:
    """Work out an expression over values, each from the line of the open document that has it."""
    lines = COSTS.split("\n")
    inputs = [
        {
            "name": name,
            "cursor": 1,
            "line": next(i for i, line in enumerate(lines) if value in line),
            "value": value,
        }
        for name, given in values.items()
        for value in given
    ]
    return call(browsing, "calculate", expression=expression, inputs=inputs)


def test_numbers_of_lines_are_worked_out_and_their_lines_named(costs: Browser) -> None:
    told = of(costs, "sum(a) + b", a=["1,200.50", "799.50"], b=["-100"])
    assert told.startswith("1900\n")
    assert all(f"【1†L{n}】" in told for n in (2, 4, 6))
    reckoned = costs.reckoned[-1]
    assert reckoned.value == "1900"
    numbers = costs.read_mark("1†L2-L6")
    assert numbers
    assert reckoned.rests_on([costs.cited[numbers[0] - 1]])
    first = costs.read_mark("1†L2")
    assert first
    assert not reckoned.rests_on([costs.cited[first[0] - 1]])


@pytest.mark.parametrize(
    ("line", "value"),
    [(2, "1,200"), (2, "799.50"), (2, "euro"), (99, "1"), (2, "200.50"), (0, "12")],
)
def test_only_a_number_that_stands_in_the_line_can_be_used(
    costs: Browser, line: int, value: str
) -> None:
    given = [{"name": "a", "cursor": 1, "line": line, "value": value}]
    told = call(costs, "calculate", expression="a", inputs=given)
    assert told.startswith("Error: "), told


def test_what_is_no_arithmetic_is_told(costs: Browser) -> None:
    assert of(costs, "__import__('os')", a=["799.50"]).startswith("Error: This cannot be worked")


def test_the_calculator_is_there_only_where_it_is_switched_on(
    open_house: QuickHouse, costs: Browser
) -> None:
    plain = browser(open_house, ALICE)
    assert [tool["function"]["name"] for tool in costs.tools] == [
        *(tool["function"]["name"] for tool in plain.tools),
        "calculate",
    ]
    given = [{"name": "a", "cursor": 0, "line": 1, "value": "9"}]
    assert call(plain, "calculate", expression="1", inputs=given) == "Error: There is no such tool."
