from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.settings import ROOT
from knowledge.terms import language_of, other_stems, terms

texts = st.text(st.sampled_from("aZ7éüñ ßйيًहि東ก한\u0301 -/,.'")) | st.text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the paid invoices", "an invoice was paid"),
        ("die Rechnungen der Kunden", "Rechnung für einen Kunde"),
        ("los puntos de la defensa", "un punto para las defensas"),
        ("les factures sont payées par nous", "la facture est payée dans ce cas"),
        ("очки защиты", "очков защита"),
        ("النقاط والدفاع", "نقاط دفاع"),
        ("भाषाओं", "भाषा"),
    ],
)
def test_forms_of_a_word_are_one_term(one: str, other: str) -> None:
    assert set(terms(one)) & set(terms(other)), (terms(one), terms(other))
    assert len(set(terms(one)) | set(terms(other))) <= len(terms(one)) + 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("naïve café", "naive cafe"), ("Überweisung von mir an dich", "uberweisung von mir an dich"),
     ("مُحَمَّد", "محمد"), ("שָׁלוֹם", "שלום"), ("ёлка", "елка"), ("INV-2024/017", "inv\u20112024/017")],
)  # fmt: skip
def test_spellings_of_a_word_are_one_term(one: str, other: str) -> None:
    assert terms(one) == terms(other)


def test_marks_that_are_letters_stay() -> None:
    assert terms("районный") != terms("раионный")
    assert terms("かき") != terms("がき")


def test_words_that_say_little_go_in_the_language_of_the_text_only() -> None:
    assert terms("the die is cast") == ["die", "cast"]
    assert terms("war in Ukraine") == ["war", "ukrain"]
    assert terms("der Würfel und die Karte") == ["wurfel", "kart"]
    assert terms("die", "german") == [] and terms("die", "english") == ["die"]


def test_a_given_language_goes_before_a_guess() -> None:
    assert terms("Rechnungen", "german") == ["rechnung"]
    assert terms("Rechnungen") == ["rechnungen"]
    assert language_of("Wie hoch sind die Rechnungen?") == "german"


def test_other_stems_hold_that_of_every_language() -> None:
    found = other_stems("rechnungen")
    assert {"rechnung", "rechnungen"} <= found
    assert terms("rechnungen", "english")[0] in found


@given(texts)
def test_terms_are_never_empty_and_the_same_each_time(text: str) -> None:
    found = terms(text)
    assert all(found)
    assert terms(text) == found
    assert not any(char.isspace() for term in found for char in term)


def test_terms_do_not_depend_on_the_process() -> None:
    text = "Die Rechnungen über naïve Cafés 東京都 النقاط ёлки"
    script = f"from knowledge.terms import terms; print(ascii(terms({text!r})))"
    command = [sys.executable, "-X", "utf8", "-c", script]
    other = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == ascii(terms(text))
