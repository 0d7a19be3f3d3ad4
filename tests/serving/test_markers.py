from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from serving.markers import MarkerNormaliser, plain, read_mark

MARK = re.compile(r"[\[［【]\s*\^?\s*(\d+)[^\[\]］】]{0,40}[\]］】]")


def normalise(text: str, count: int = 3) -> str:
    return in_pieces([text], count)


def in_pieces(pieces: list[str], count: int = 3) -> str:
    normaliser = MarkerNormaliser(count)
    return "".join([*map(normaliser.feed, pieces), normaliser.finish()])


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("So it is [1].", "So it is [1].", id="plain"),
        pytest.param("So it is 【1】.", "So it is [1].", id="lenticular"),
        pytest.param("So it is【2†L3-L9】.", "So it is[2].", id="browser tool"),
        pytest.param("So it is 【1:2†source】.", "So it is [1].", id="cursor and line"),
        pytest.param("So it is [3†source].", "So it is [3].", id="dagger in square brackets"),
        pytest.param("So it is [^2].", "So it is [2].", id="markdown footnote"),
        pytest.param("So it is [1, 3].", "So it is [1][3].", id="list"),
        pytest.param("So it is [1; 2].", "So it is [1][2].", id="semicolons"),
        pytest.param("So it is [1][2].", "So it is [1][2].", id="neighbours"),
        pytest.param("So it is [1-3].", "So it is [1][2][3].", id="range"),
        pytest.param("So it is [１].", "So it is [1].", id="full-width digit"),
        pytest.param("So it is ［２］.", "So it is [2].", id="full-width brackets"),
        pytest.param("So it is [[1]].", "So it is [1].", id="doubled"),
        pytest.param("So it is [\u200b1\u200b].", "So it is [1].", id="invisible characters"),
        pytest.param("So it is [see [1]].", "So it is [see [1]].", id="nested"),
    ],
)
def test_every_form_of_a_mark_becomes_one(written: str, shown: str) -> None:
    assert normalise(written) == shown


@pytest.mark.parametrize(
    ("written", "shown", "dropped"),
    [
        pytest.param("So it is [4].", "So it is.", 1, id="beyond"),
        pytest.param("So it is [0] here.", "So it is here.", 1, id="zero"),
        pytest.param("So it is【6†L9-L11】 here.", "So it is here.", 1, id="invented line"),
        pytest.param("So [1, 9] it is.", "So [1] it is.", 1, id="one of two"),
        pytest.param("In [2019-2021] it was.", "In it was.", 1, id="years"),
        pytest.param("[9]\n\nNext.", "Next.", 1, id="alone on a line"),
        pytest.param("Rate [2-7].", "Rate [2][3].", 1, id="range that sticks out"),
    ],
)
def test_a_mark_that_points_at_nothing_is_dropped_and_counted(
    written: str, shown: str, dropped: int
) -> None:
    normaliser = MarkerNormaliser(3)
    assert normaliser.feed(written) + normaliser.finish() == shown
    assert normaliser.dropped == dropped


@pytest.mark.parametrize(
    "text",
    [
        "He wrote [sic] so.",
        "- [ ] to do\n- [x] done",
        "【重要】これは大切です。",
        "a < b | c > d [e.g. this one is a longer aside] f",
        "Wow! Yes!! [really]!",
        "f(x) = [3.5, 4.5)",
    ],
)
def test_ordinary_brackets_stay_as_they_are(text: str) -> None:
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("See [the plan](http://e.vil/?q=1).", "See the plan.", id="link"),
        pytest.param("![pixel](http://e.vil/x.png)", "pixel", id="image"),
        pytest.param("So [1](http://e.vil).", "So [1].", id="link on a mark"),
        pytest.param("So [1](a)(http://e.vil).", "So [1].", id="two targets"),
        pytest.param("[a](b)(http://e.vil)", "a(http://e.vil)", id="two targets on a label"),
        pytest.param(
            "So [1]\n\n[1]: http://e.vil", "So [1]\n\n[1] : http://e.vil", id="definition"
        ),
        pytest.param("[x]: http://e.vil", "x: http://e.vil", id="named definition"),
        pytest.param("[![a](http://e.vil/1)](http://e.vil/2)", "[a]", id="image in a link"),
        pytest.param(
            "[a label that is longer than what is held](http://e.vil)",
            "[a label that is longer than what is held]",
            id="long label",
        ),
    ],
)
def test_links_and_images_lose_their_target(written: str, shown: str) -> None:
    assert normalise(written) == shown


def test_harmony_markup_goes() -> None:
    normaliser = MarkerNormaliser(1)
    text = normaliser.feed("Yes [1<|end|>].<|return|> ") + normaliser.finish()
    assert text == "Yes [1]."


def test_text_is_shown_as_soon_as_it_is_decided() -> None:
    normaliser = MarkerNormaliser(3)
    assert normaliser.feed("The fee is 5") == "The fee is 5"
    assert normaliser.feed(" euro [") == " euro"
    assert normaliser.feed("2") == ""
    assert normaliser.feed("]. And") == " [2]. And"


@pytest.mark.parametrize(("opening", "held"), [("[", 24), ("【", 40)])
def test_a_bracket_that_does_not_close_is_held_back_no_longer_than_promised(
    opening: str, held: int
) -> None:
    normaliser = MarkerNormaliser(3)
    assert normaliser.feed(opening + "x" * held) == ""
    assert normaliser.feed("x") == opening + "x" * (held + 1)


# Pieces that make up all that a mangled answer may hold.
MANGLED = st.lists(
    st.sampled_from(
        [
            *"[]()【】［］<|>!:^†,-–\\ \n.a7",
            *("[1]", "[2]", "[9]", "【1†L3】", "【7†source】", "[1, 9]", "[^3]", "１", "12"),
            *("](http://e.vil)", "![", "]: http://e.vil", "<|end|>", "<|", "|>", "[sic]", "\u200b"),
        ]
    ),
    max_size=25,
).map("".join)


@given(MANGLED, st.lists(st.integers(0, 120), max_size=8), st.integers(0, 12))
def test_the_result_does_not_depend_on_how_the_stream_is_cut(
    text: str, cuts: list[int], count: int
) -> None:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    whole = normalise(text, count)
    assert in_pieces(pieces, count) == whole
    assert in_pieces(list(text), count) == whole


@given(MANGLED, st.integers(0, 12))
def test_no_mark_outside_the_sources_survives(text: str, count: int) -> None:
    for match in MARK.finditer(normalise(text, count)):
        numbers = read_mark(match.group()[1:-1], count)
        if numbers is not None:
            assert re.fullmatch(r"\[\d+\]", match.group()), match.group()
            assert all(1 <= number <= count for number in numbers)


@given(MANGLED)
def test_no_link_no_image_and_no_markup_survives(text: str) -> None:
    shown = normalise(text)
    assert "<|" not in shown
    html = MarkdownIt().render(shown)
    assert "href=" not in html
    assert "src=" not in html


def test_the_markdown_reader_of_the_test_above_would_find_a_link() -> None:
    assert "href=" in MarkdownIt().render("[1]\n\n[1]: http://e.vil")
    assert "src=" in MarkdownIt().render("![x](http://e.vil)")


@given(MANGLED)
def test_a_second_reading_finds_nothing_more_to_drop(text: str) -> None:
    first = normalise(text)
    assert "<|" not in first
    again = MarkerNormaliser(3)
    again.feed(first)
    again.finish()
    assert again.dropped == 0


@given(MANGLED)
def test_a_documents_own_text_keeps_no_mark_at_all(text: str) -> None:
    numbers = (read_mark(match.group()[1:-1], 99) for match in MARK.finditer(plain(text)))
    assert all(found is None for found in numbers)


@pytest.mark.parametrize(
    "piece", ["[", "【1†", "[x](", "<|", "[1](a", "![", "[x]((", " ", "[1, ", "<"]
)
def test_no_text_takes_long_to_clean(piece: str) -> None:
    normaliser = MarkerNormaliser(9)
    start = time.process_time()
    for _ in range(3000):
        normaliser.feed(piece)
    normaliser.finish()
    assert time.process_time() - start < 5
