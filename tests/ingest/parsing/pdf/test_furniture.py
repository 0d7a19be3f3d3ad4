from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.parsing.pdf import furniture
from tests.ingest.parsing.pdf.drawing import LOREM, Pen, drawn, parsed

NUMBERS = {
    "plain": str,
    "of all": lambda n: f"Page {n} of 5",
    "with its chapter": lambda n: f"F-{n + 40}",
    "roman": lambda n: ("i", "ii", "iii", "iv", "v")[n - 1],
}


def book(number: Callable[[int], str], pages: int = 5) -> bytes:
    def page(n: int) -> Callable[[Pen], None]:
        def draw(pen: Pen) -> None:
            pen.text(72, 40, "Annual report of the society")
            pen.paragraph(72, 120, [f"{word}{n}" for word in LOREM], 400)
            pen.centred(300, 800, number(n))

        return draw

    return drawn(*map(page, range(1, pages + 1)))


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
def test_running_heads_and_page_numbers_are_removed(number: Callable[[int], str]) -> None:
    document = parsed(book(number))
    expected = [f"{word}{n}" for n in range(1, 6) for word in LOREM]
    assert document.text.split() == expected
    assert document.coverage.layer_characters == sum(map(len, expected))


def test_without_the_removal_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(furniture, "_LEAST_PAGES", 100)
    assert parsed(book(str)).text.count("Annual report") == 5


def test_two_pages_are_too_few_to_tell() -> None:
    assert parsed(book(str, pages=2)).text.count("Annual report") == 2


def test_no_page_is_emptied() -> None:
    def blank(pen: Pen) -> None:
        pen.text(72, 40, "Annual report of the society")

    document = parsed(drawn(blank, blank, blank))
    assert document.coverage.empty_pages == ()
    assert document.text.count("Annual report") == 3


def test_figures_at_the_top_that_differ_from_page_to_page_stay() -> None:
    def page(n: int) -> Callable[[Pen], None]:
        def draw(pen: Pen) -> None:
            pen.text(72, 60, f"Result: {n * n * 7}")
            pen.paragraph(72, 120, LOREM, 400)

        return draw

    text = parsed(drawn(*map(page, range(1, 6)))).text
    assert all(f"Result: {n * n * 7}" in text for n in range(1, 6))
