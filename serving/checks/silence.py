"""Sentences which only say that the sources do not say something; pure.

They claim nothing about what the sources say, so nothing there can carry them. Narrow on purpose:
apart from the words with which that is said, such a sentence has none that the question does not
have, so that no claim can hide in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from knowledge.terms import language_of, terms
from serving.checks.negation import NEGATORS

NEAR = 3
"""Words from a negation to the verb it denies, at most."""


def is_silence(sentence: str, question: str) -> bool:
    """Say whether a sentence, without its marks, only tells that the sources do not answer.

    >>> is_silence("The documents do not state what tea costs.", "What does tea cost?")
    True
    >>> is_silence("The documents do not state that tea is free.", "What does tea cost?")
    False
    """
    plain = unicodedata.normalize("NFKC", sentence).casefold().replace("’", "'")
    plain = plain.replace("n't", " not")
    if NEGATORS.isdisjoint(_TOKEN.findall(plain)):
        return False
    language = language_of(plain)
    if language not in _WORDS or _TURN.search(plain):
        return False
    known, asked = _vocabulary(language), frozenset(terms(question, language))
    said = frozenset(terms(plain, language))
    if not said <= known.all | asked:
        return False
    clauses = [
        [_token(word, language) for word in _TOKEN.findall(clause)] for clause in plain.split(",")
    ]
    by_us = any(token.word in _WE for tokens in clauses for token in tokens)
    before = NEAR if language == "german" else 1  # whose verbs come second, whatever they deny
    return (by_us or bool(said & known.sources - asked)) and _is_unsaid(clauses, known, before)


@dataclass(frozen=True, slots=True)
class _Token:
    word: str
    stem: str


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """Stems of one language."""

    sources: frozenset[str]
    saying: frozenset[str]
    all: frozenset[str]


def _is_unsaid(clauses: Sequence[Sequence[_Token]], known: _Vocabulary, before: int) -> bool:
    """Say whether a negation stands before a verb of saying, or as much as `before` words after."""
    for tokens in clauses:
        for at, token in enumerate(tokens):
            around = [*tokens[max(0, at - before) : at], *tokens[at + 1 : at + 1 + NEAR]]
            if token.word in NEGATORS and any(each.stem in known.saying for each in around):
                return True
    return False


def _token(word: str, language: str) -> _Token:
    return _Token(word, next(iter(terms(word, language)), ""))


_TOKEN = re.compile(r"[^\W\d_]+'?")
_TURN = re.compile(
    r"[;:–—]|\b(?:but|however|although|though|while|whereas|except|instead|rather|because|since"
    r"|aber|sondern|obwohl|während|weil|denn|außer|mais|cependant|bien que|car|sauf|parce"
    r"|pero|sino|aunque|mientras|salvo|porque|però|ma|sebbene|mentre|perché|tranne"
    r"|mas|porém|embora|enquanto|exceto|maar|echter|hoewel|terwijl|omdat|behalve)\b(?!,)"
)
"""Something else is said after it; not so where it leads in, before a comma."""
_WE_LIST = """
i we ich wir je j' nous ik wij tengo tenemos ho abbiamo tenho temos
"""
_WE = frozenset(_WE_LIST.split())
_WORDS = {
    "english": (
        "document source passage text excerpt material context",
        "say state mention specify contain include provide give offer answer address describe "
        "indicate explain discuss tell clarify disclose report reveal information detail answer "
        "have find",
        "specifically explicitly directly clearly unfortunately also available given further "
        "specific explicit any how much many when where why whether about regarding there anything "
        "provided according however therefore sorry do does did could can question topic moment "
        "reason example",
    ),
    "german": (
        "dokument dokumente dokumenten quelle quellen unterlagen text texte texten passage "
        "passagen abschnitt abschnitte abschnitten auszug auszüge auszügen kontext",
        "sagen sagt nennen nennt genannt erwähnen erwähnt enthalten enthält geben gibt angegeben "
        "angeben liefern liefert machen macht beschreiben beschreibt beschrieben beantworten "
        "beantwortet erklären erklärt hervor angaben angabe information informationen hinweis "
        "hinweise auskunft antwort einzelheiten finden gefunden steht stehen",
        "leider ausdrücklich konkret konkrete konkreten genaue genauen vorliegenden "
        "bereitgestellten "
        "verfügbaren angegebenen dazu hierzu darüber geht wurde laut wann warum wo wie viel viele "
        "darauf frage fragen thema grund gründe beispiel beispiele",
    ),
    "french": (
        "document documents source sources passage passages texte textes extrait extraits contexte",
        "disent dit précisent précise précisé précisée mentionnent mentionne mentionné mentionnée "
        "indiquent indique indiqué indiquée contiennent contient donnent donne fournissent fournit "
        "répondent répond expliquent explique information informations mention détail détails "
        "précision réponse trouvé trouve",
        "malheureusement explicitement fournis disponibles combien quand comment pourquoi "
        "concernant propos cela sujet selon question raison exemple",
    ),
    "spanish": (
        "documento documentos fuente fuentes pasaje pasajes texto textos extracto contexto",
        "dicen dice indican indica mencionan menciona especifican especifica contienen contiene "
        "ofrecen ofrece proporcionan proporciona dan da responden responde incluyen incluye "
        "aclaran aclara explican explica información informaciones detalle detalles respuesta "
        "encontrado encuentro hay",
        "lamentablemente explícitamente proporcionados disponibles cuánto cuánta cuándo dónde cómo "
        "acerca respecto específica específicamente ninguna nada pregunta tema razón ejemplo",
    ),
    "italian": (
        "documento documenti fonte fonti passaggio passaggi testo testi estratto contesto",
        "dicono dice indicano indica indicato indicata menzionano menziona menzionato menzionata "
        "specificano specifica specificato specificata contengono contiene forniscono fornisce "
        "riportano riporta precisano precisa rispondono risponde spiegano spiega informazione "
        "informazioni dettagli risposta trovato",
        "purtroppo esplicitamente forniti disponibili quanto quanti quando dove come perché "
        "riguardo merito ci sono nulla alcuna domanda tema motivo esempio",
    ),
    "portuguese": (
        "documento documentos fonte fontes passagem passagens texto textos trecho contexto",
        "dizem diz indicam indica indicado indicada mencionam menciona mencionado mencionada "
        "especificam especifica contêm contém fornecem fornece informam informa informado "
        "respondem responde incluem inclui explicam explica informação informações detalhes "
        "resposta encontrei há",
        "infelizmente explicitamente fornecidos disponíveis quanto quanta quantos quando onde como "
        "sobre respeito específica nada pergunta tema razão exemplo",
    ),
    "dutch": (
        "document documenten bron bronnen passage passages tekst teksten fragment context",
        "zeggen zegt vermelden vermeldt vermeld noemen noemt genoemd geven geeft gegeven bevatten "
        "bevat beschrijven beschrijft beantwoorden beantwoordt leggen informatie vermelding "
        "details antwoord gevonden staat staan",
        "helaas expliciet beschikbare verstrekte hoeveel wanneer waar waarom hoe hierover daarover "
        "er vraag onderwerp reden voorbeeld",
    ),
}
"""Of each language: what the sources are called, with which words they say, and what goes along."""


@cache
def _vocabulary(language: str) -> _Vocabulary:
    sources, saying, others = (frozenset(terms(each, language)) for each in _WORDS[language])
    negating = frozenset(terms(" ".join(NEGATORS), language))
    return _Vocabulary(sources, saying, sources | saying | others | negating)
