"""Numbers in words, in the languages that the service's readers write most; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

_SCALES = {
    1000: "k thousand tausend mille mil mila duizend",
    10**6: "mn mio million millions millionen millones millón milione milioni milhões miljoen",
    10**9: "bn mrd billion billions milliarde milliarden milliard milliards miliardi miljard",
    10**12: "trillion trillions billionen billones",
}
SCALES = {word: factor for factor, words in _SCALES.items() for word in words.split()}

_ONES = {
    "english": "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen",
    "german": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn "
    "vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
    "french": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze "
    "quinze seize dix-sept dix-huit dix-neuf",
    "spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce "
    "quince dieciséis diecisiete dieciocho diecinueve",
    "italian": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
    "quattordici quindici sedici diciassette diciotto diciannove",
    "portuguese": "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze "
    "quinze dezesseis dezessete dezoito dezenove",
    "dutch": "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien "
    "vijftien zestien zeventien achttien negentien",
}
_TENS = {
    "english": "twenty thirty forty fifty sixty seventy eighty ninety hundred",
    "german": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert",
    "french": "vingt trente quarante cinquante soixante soixante-dix quatre-vingts "
    "quatre-vingt-dix cent",
    "spanish": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien",
    "italian": "venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento",
    "portuguese": "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem",
    "dutch": "twintig dertig veertig vijftig zestig zeventig tachtig negentig honderd",
}
_JOINED = {"german": "und", "dutch": "en"}
_ORDINALS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)


def _table(language: str) -> dict[str, int]:
    ones = {word: value for value, word in enumerate(_ONES[language].split())}
    tens = {word: 10 * value for value, word in enumerate(_TENS[language].split(), start=2)}
    table = ones | tens
    if language == "english":
        table |= {word: value for value, word in enumerate(_ORDINALS.split(), start=3)}
    for ten, tenfold in tens.items():
        for one, value in ones.items():
            if 0 < value < 10 and tenfold < 100:
                table[f"{ten}-{one}"] = tenfold + value
                if language in _JOINED:
                    stem = "ein" if one == "eins" else one
                    table[f"{stem}{_JOINED[language]}{ten}"] = tenfold + value
    return table


_TABLES = {language: _table(language) for language in _ONES}
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_FOLLOWING = re.compile(r"[ -]([^\W\d_]+)")


def spelled(text: str, language: str) -> Iterator[tuple[int, str, Decimal]]:
    """Yield the numbers in words: where they begin, how they are written, their value.

    >>> list(spelled("Twenty-five of two million", "english"))
    [(0, 'Twenty-five', Decimal('25')), (15, 'two million', Decimal('2000000'))]
    """
    table = _TABLES.get(language, {})
    end = 0
    for match in _WORDS.finditer(text) if table else ():
        value = table.get(match.group().casefold())
        if value is None or match.start() < end:
            continue
        end = match.end()
        following = _FOLLOWING.match(text, end)
        factor = SCALES.get(following[1].casefold()) if following else None
        if following and factor is None and following[1].casefold() in ("hundred", "hundert"):
            factor = 100
        if following and factor:
            end = following.end()
        yield match.start(), text[match.start() : end], Decimal(value * (factor or 1))
