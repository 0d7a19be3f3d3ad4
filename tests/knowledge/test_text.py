from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.text import clean, normalise_for_match, sentence_spans, words

# Letters, marks, separators and line ends: what words and sentences are decided by.
texts = (
    st.text(st.sampled_from("aZ7é東ก\u0301 \t\n.!?,;:-/'\"”)(|•[]\u00ad\u200b。\u2009")) | st.text()
)


def sentences(text: str) -> list[str]:
    return [span.cut(text) for span in sentence_spans(text)]


class TestWords:
    def test_case_and_punctuation_do_not_matter(self) -> None:
        assert words("The (Quick) BROWN fox!") == ["the", "quick", "brown", "fox"]

    def test_an_identifier_is_found_whole_and_in_parts_however_it_is_spelled(self) -> None:
        found = words("see INV-2024/017.")
        assert found == ["see", "inv2024017", "inv", "2024", "017"]
        assert "inv2024017" in words("see inv2024017")
        assert "tgfβ1" in words("TGF-β1") and words("TGFβ1") == ["tgfβ1"]

    def test_a_number_keeps_its_point_and_loses_its_thousands(self) -> None:
        assert words("1,577.25 of 3.5, 7") == ["1577.25", "of", "3.5", "7"]

    @pytest.mark.parametrize("hyphen", ["-", "\u2010", "\u2011", "\u2013", "\u2212"])
    def test_every_hyphen_is_one(self, hyphen: str) -> None:
        assert words(f"non{hyphen}smoking") == ["nonsmoking", "non", "smoking"]

    def test_composed_and_decomposed_letters_are_the_same_word(self) -> None:
        assert words("cafe\u0301 ﬁne") == words("café fine") == ["café", "fine"]

    def test_marks_do_not_tear_a_word_apart(self) -> None:
        assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
        assert words("שָׁלוֹם") == ["שָׁלוֹם"]

    def test_soft_hyphens_and_zero_width_characters_vanish(self) -> None:
        assert words("co\u00adoperate zero\u200bwidth") == ["cooperate", "zerowidth"]

    def test_scripts_without_spaces_become_pairs(self) -> None:
        assert words("東京都 a漢字b 水") == ["東京", "京都", "a", "漢字", "b", "水"]

    @given(texts)
    def test_words_are_never_empty_and_never_hold_white_space(self, text: str) -> None:
        for word in words(text):
            assert word
            assert not any(char.isspace() for char in word)

    @given(texts)
    def test_words_of_words_are_the_same_words(self, text: str) -> None:
        simple = [word for word in words(text) if word.isascii() and word.isalnum()]
        assert words(" ".join(simple)) == simple


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
            ("He paid 3.5 kg. Fine.", ["He paid 3.5 kg.", "Fine."]),
            ("Dr. Lee met Mrs. Roy.", ["Dr. Lee met Mrs. Roy."]),
            ("See Fig. 3 and No. 7. Then stop.", ["See Fig. 3 and No. 7.", "Then stop."]),
            ("J. R. Smith wrote it.", ["J. R. Smith wrote it."]),
            ("Take vitamin C. The rest helps.", ["Take vitamin C.", "The rest helps."]),
            ("The U.S. Department said no.", ["The U.S. Department said no."]),
            ("Made in the U.S. This is new.", ["Made in the U.S.", "This is new."]),
            ("Use tools, e.g. Hammers.", ["Use tools, e.g. Hammers."]),
            ("It ended at 5 p.m. and began.", ["It ended at 5 p.m. and began."]),
            ("“Yes.” He left.", ["“Yes.”", "He left."]),
            ("It holds.[3] We saw it.", ["It holds.[3]", "We saw it."]),
            ("Really?! Yes... Maybe.", ["Really?!", "Yes...", "Maybe."]),
            ("wait... then go. Done", ["wait... then go.", "Done"]),
            ("1. First step. 2. Second step.", ["1. First step.", "2. Second step."]),
            ("a@b.org and v2.1.3 stay. Yes", ["a@b.org and v2.1.3 stay.", "Yes"]),
            ("これは文です。次の文。", ["これは文です。", "次の文。"]),
            ("यह वाक्य है। दूसरा।", ["यह वाक्य है।", "दूसरा।"]),
        ],
    )
    def test_marks_end_a_sentence_and_abbreviations_do_not(
        self, text: str, expected: list[str]
    ) -> None:
        assert sentences(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Expenses\nMeals are paid.", ["Expenses", "Meals are paid."]),
            ("A paragraph\n\nand another", ["A paragraph", "and another"]),
            ("A paragraph\n \t\nand another", ["A paragraph", "and another"]),
            ("- salt\n- pepper\n* oil", ["- salt", "- pepper", "* oil"]),
            ("1. one\n2) two\n(c) three", ["1. one", "2) two", "(c) three"]),
            ("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
            ("name\tage\nann\t7", ["name\tage", "ann\t7"]),
            ("It goes on\nin lower case. End", ["It goes on\nin lower case.", "End"]),
            ("Ends here.\nnext line", ["Ends here.", "next line"]),
        ],
    )
    def test_lines_end_a_sentence_unless_they_are_wrapped(
        self, text: str, expected: list[str]
    ) -> None:
        assert sentences(text) == expected

    def test_a_long_line_without_a_mark_goes_on_in_the_next(self) -> None:
        text = f"{'word ' * 14}in the\nUnited States of today. Then more."
        assert sentences(text)[1:] == ["Then more."]

    @given(texts)
    @example("a\x0bb. C")
    def test_spans_are_trimmed_in_order_and_never_overlap(self, text: str) -> None:
        end = 0
        for span in sentence_spans(text):
            assert end <= span.start < span.end
            assert span.cut(text) == span.cut(text).strip()
            end = span.end

    @given(texts)
    def test_nothing_but_white_space_is_left_out(self, text: str) -> None:
        assert "".join("".join(sentences(text)).split()) == "".join(text.split())

    @pytest.mark.parametrize("piece", ["a ", "A. ", "...", "\n", " | ", "x\n", "'\"", "(a) ", "1."])
    def test_time_grows_with_length_and_no_faster(self, piece: str) -> None:
        short, long = (piece * (size // len(piece)) for size in (20_000, 160_000))
        assert _seconds(long) < 40 * _seconds(short) + 0.5


class TestNormalForms:
    def test_quotes_dashes_spaces_and_case_no_longer_differ(self) -> None:
        printed = "The \u201cnon\u2011smoking\u201d\u202fArea\n\u2014 it\u2019s co\u00adoperative"
        typed = 'the "non-smoking" area - it\'s cooperative'
        assert normalise_for_match(printed) == normalise_for_match(typed) == typed

    def test_other_words_stay_different(self) -> None:
        assert normalise_for_match("not paid") != normalise_for_match("paid")

    @given(texts)
    def test_a_normal_form_is_its_own_normal_form(self, text: str) -> None:
        once = normalise_for_match(text)
        assert normalise_for_match(once) == once

    @given(st.text(st.characters(codec=None)))
    @example("\ud800 \x00 \x85 \u2028 \r\n")
    def test_clean_text_can_be_stored_and_is_clean(self, text: str) -> None:
        cleaned = clean(text)
        assert "\x00" not in cleaned and "\r" not in cleaned
        cleaned.encode("utf-8")
        assert clean(cleaned) == cleaned

    def test_cleaning_keeps_tabs_lines_and_every_script(self) -> None:
        text = "a\tb\nδ 東京 हिन्दी 🙂"
        assert clean(text) == text


def _seconds(text: str) -> float:
    start = time.process_time()
    sentence_spans(text)
    return time.process_time() - start
