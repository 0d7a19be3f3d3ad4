from __future__ import annotations

import pytest

from serving.checks.silence import is_silence

SILENT = [
    ("What does tea cost?", "The sources do not state what tea costs."),
    (
        "What does tea cost?",
        "Unfortunately, the provided documents don’t mention how much tea costs.",
    ),
    ("What does tea cost?", "There is no information about the cost of tea in the documents."),
    ("What does tea cost?", "The cost of tea is not specified in the sources."),
    ("What does tea cost?", "I do not have specific information on what tea costs."),
    ("What does tea cost?", "The documents say nothing about tea."),
    ("What does tea cost?", "The documents do not provide an answer to the question."),
    ("Was kostet der Tee?", "Die Quellen sagen nicht, was der Tee kostet."),
    ("Was kostet der Tee?", "In den Dokumenten steht leider nicht, was der Tee kostet."),
    ("Was kostet der Tee?", "Die Dokumente enthalten keine Angaben dazu, was der Tee kostet."),
    ("Was kostet der Tee?", "Was der Tee kostet, geht aus den Quellen nicht hervor."),
    ("Was kostet der Tee?", "Die Unterlagen beantworten diese Frage nicht."),
    ("Combien coûte le thé ?", "Les sources ne précisent pas combien coûte le thé."),
    ("Combien coûte le thé ?", "Les documents ne contiennent aucune information sur le thé."),
    ("Combien coûte le thé ?", "Combien coûte le thé n’est pas indiqué dans les documents."),
    ("¿Cuánto cuesta el té?", "Las fuentes no indican cuánto cuesta el té."),
    ("¿Cuánto cuesta el té?", "Los documentos no contienen información sobre el té."),
    ("Quanto costa il tè?", "Le fonti non indicano quanto costa il tè."),
    ("Quanto costa il tè?", "I documenti non contengono informazioni su quanto costa il tè."),
    ("Quanto custa o chá?", "As fontes não indicam quanto custa o chá."),
    ("Quanto custa o chá?", "Os documentos não contêm informações sobre o chá."),
    ("Hoeveel kost de thee?", "De bronnen vermelden niet hoeveel de thee kost."),
    ("Hoeveel kost de thee?", "De documenten bevatten geen informatie over de thee."),
]
CLAIMS = [
    ("What does tea cost?", "The sources state what tea costs."),
    ("What does tea cost?", "Tea does not cost anything."),
    ("What does tea cost?", "The sources do not state that tea is free."),
    ("What does tea cost?", "The sources say that tea does not cost three euro."),
    ("What does tea cost?", "The sources do not state what tea costs, but soup costs three euro."),
    ("Does tea cost three euro?", "The sources say tea does not cost three euro."),
    ("What does tea cost?", "The sources do not mention Ann Lee, who was dismissed for theft."),
    ("Does the policy provide insurance?", "The policy does not provide insurance."),
    ("Do the documents include a passport?", "The documents do not include a passport."),
    ("Was kostet der Tee?", "Die Quellen sagen, dass der Tee nicht drei Euro kostet."),
    ("Was kostet der Tee?", "Der Tee kostet nichts."),
    ("Combien coûte le thé ?", "Les sources disent que le thé ne coûte rien."),
    ("¿Cuánto cuesta el té?", "Las fuentes indican que el té no cuesta nada."),
    ("Hoeveel kost de thee?", "De bronnen vermelden dat de thee niets kost."),
]


@pytest.mark.parametrize(("question", "sentence"), SILENT)
def test_a_sentence_that_only_tells_what_is_missing_is_silence(
    question: str, sentence: str
) -> None:
    assert is_silence(sentence, question)


@pytest.mark.parametrize(("question", "sentence"), CLAIMS)
def test_a_sentence_that_tells_anything_else_is_a_claim(question: str, sentence: str) -> None:
    assert not is_silence(sentence, question)
