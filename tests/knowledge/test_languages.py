from __future__ import annotations

import pytest

from knowledge import languages
from knowledge.text import words

SENTENCES = {
    "english": "How many points did the Panthers defence surrender?",
    "german": "Wie viele Tage Urlaub hat ein neuer Mitarbeiter im ersten Jahr?",
    "spanish": "¿Cuántos días de vacaciones tiene un empleado en su primer año?",
    "french": "Combien de jours de congé un employé a-t-il dans sa première année ?",
    "italian": "Quanti giorni di ferie ha un dipendente nel suo primo anno?",
    "portuguese": "Quantos dias de férias tem um empregado no seu primeiro ano?",
    "dutch": "Hoeveel vakantiedagen heeft een nieuwe medewerker in het eerste jaar?",
    "swedish": "Hur många semesterdagar har en nyanställd under det första året?",
    "polish": "Ile dni urlopu ma nowy pracownik, który pracuje od roku i nie był chory?",
    "turkish": "Yeni bir çalışan için yılda kaç gün izin var ve bu nasıl alınır?",
    "hungarian": "Hány nap szabadság van és mikor kell az egész évre előre jelezni?",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_is_known_by_its_commonest_words(name: str) -> None:
    assert languages.spoken(words(SENTENCES[name])) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rechnung 2024",
        "Сколько очков у команды a la NFL?",
        "war in Ukraine",
        "Red Hat",
        "also sin",
    ],
)
def test_where_nothing_tells_it_is_english(text: str) -> None:
    assert languages.spoken(words(text)) == languages.ENGLISH


@pytest.mark.parametrize(
    ("word", "name"),
    [("7", "german"), ("tage", "german"), ("über", "german"), ("дней", "russian"),
     ("ημέρες", "greek"), ("نقاط", "arabic"), ("भाषा", "hindi"), ("днів", ""), ("گرفت", ""),
     ("東京", "")],
)  # fmt: skip
def test_a_word_is_of_its_script_unless_another_language_shares_it(word: str, name: str) -> None:
    assert languages.of_word(word, "german") == name


def test_marks_may_be_left_out_where_people_do() -> None:
    assert all(map(languages.marks_are_optional, ["é", "ά", "שָ", "مَ"]))
    assert not any(map(languages.marks_are_optional, ["й", "हि", "が", "한"]))
