"""Which language a text is written in, as a label: told by its script, then by its commonest words.

`knowledge.languages` serves another end: it chooses a stemmer, and has to choose. Here a language
need not have a stemmer, and a doubt is said. No model and no chance: the same text gets the same
answer everywhere. Where the two do not settle it, as in tables of numbers, nothing is said.
"""

from __future__ import annotations

import re
from collections import Counter

SAMPLE = 4000
"""Characters that are looked at, at the beginning, in the middle and at the end each."""
FEWEST = 3
"""Common words that have to be seen."""
SHARE = 0.1
"""Of all words that have to be common ones; prose of any language here has twice as many."""
MARGIN = 1.15
"""So many times more than of the next language there have to be."""

NAMES = {
    "am": "Amharic", "ar": "Arabic", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian",
    "km": "Khmer", "kn": "Kannada", "ko": "Korean", "lo": "Lao", "lt": "Lithuanian",
    "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "my": "Burmese", "nl": "Dutch",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian",
    "sr": "Serbian", "sv": "Swedish", "ta": "Tamil", "te": "Telugu", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""What each language is called in English, by the code that it is told by."""

_SCRIPTS = {
    "kana": "\u3040-\u30ff",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "cyrillic": "\u0400-\u052f",
    "arabic": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "hy": "\u0530-\u058f",
    "he": "\u0590-\u05ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff",
    "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff",
    "th": "\u0e00-\u0e7f",
    "lo": "\u0e80-\u0eff",
    "my": "\u1000-\u109f",
    "ka": "\u10a0-\u10ff",
    "am": "\u1200-\u137f",
    "km": "\u1780-\u17ff",
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
}
"""Ranges of letters. A script that one language of offices is written in bears its name."""

_COMMON = {
    "latin": {
        "en": "the of and to in is that for it was on are as with be by this at from or have an "
        "not which were has will can been their its you your we if all more when may should",
        "de": "der die und in den das von zu mit ist des im auf für sich nicht eine dem ein als "
        "auch werden wird sind bei oder aus nach an einer es wurde hat durch kann zur zum über "
        "dass wie nur einen haben diese war",
        "fr": "de la le et les des en un une du est que dans pour qui sur au par il pas plus ne "
        "avec ce sont ou aux se cette être vous nous leur ses été comme mais ont elle sa d l",
        "es": "de la que el en y los del las un por con una para es se no al lo como su más o "
        "este sus ha fue son esta entre pero también ser desde cuando muy hasta sobre",
        "it": "di e il la che in per un del della è con una le si dei da i non al sono nel alla "
        "come più delle anche gli lo ha dal essere o nella questo ai degli dalla tra stato l",
        "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao "
        "das à seu sua ou quando muito foi são também pelo pela até isso ser está nos",
        "nl": "de van het een en in is dat op te zijn voor met die niet aan er om ook als bij of "
        "door worden naar wordt uit deze nog kan dan maar over tot heeft werd wel hun was",
        "sv": "och i att det som en på är av för med till den har de inte om ett från var så vi "
        "men kan eller när ska vid också efter under där detta sig denna blir",
        "da": "og i at det er en til af på for som med de den der har et ikke om fra var kan ved "
        "men eller skal efter blev også hvor bliver være mellem deres denne dette når jeg",
        "no": "og i det er en til av på for som med de den har et ikke om fra var kan ved men "
        "eller skal etter ble også hvor blir være mellom deres denne dette når jeg å",
        "fi": "ja on ei se että oli ovat mutta myös tai kun joka hän sen ole jos voi kuin niin "
        "mukaan jossa jonka sekä siitä ovat vain mitä vuonna jotka tämä olla eivät koska",
        "et": "ja on ei et see oli kui ka mis ta selle aga või oma nii siis ning seda mille "
        "kes kuid olid pole kuni vaid juba ise aastal tema võib",
        "lv": "un ir ar no par uz kas ka tika arī bet vai to kā ko tas pēc gadā līdz ja viņa "
        "lai tā bija var tiek",
        "lt": "ir yra su iš kad buvo į tai kaip bet ar nuo už per taip apie dėl metų jis kuris "
        "arba gali būti po prie",
        "pl": "i w na z do się nie że jest to o jak od za po przez dla są oraz przy lub był było "
        "tym które który ale jego tylko może być ich ze która także",
        "cs": "a v se na je že s z do o i to jako za pro po od by ve byl které který jsou ale "
        "nebo být při jeho podle tak také aby však jen",
        "sk": "a v sa na je že s z do o i to ako za pre po od by vo bol ktoré ktorý sú ale "
        "alebo byť pri jeho podľa tak aj aby však len",
        "sl": "in je v na se za da so z ki ne pa s po tudi kot o iz pri ali kako bil do bi "
        "lahko zaradi ter med",
        "hr": "i u je na se da su za od s koji a kao iz o ne po do koja biti ili što bio nije "
        "te sa prema također koje može",
        "hu": "a az és hogy nem is egy van volt meg ez csak de ha már mint vagy azt el még "
        "lehet után által ki pedig szerint kell között amely ezt",
        "ro": "de și în a la cu pe care din este un o nu să se pentru ale mai sau al au prin "
        "fost sunt ce dar lui fi după fiind acest cele această",
        "tr": "ve bir bu için ile olarak da de daha olan en çok gibi kadar sonra olduğu ancak "
        "her veya ise ne tarafından değil var göre iki olduğunu ya",
        "id": "yang dan di dari untuk pada dengan ini dalam adalah tidak itu sebagai oleh ke "
        "atau akan telah juga lebih dapat mereka tersebut ada secara karena",
        "vi": "và của là có được trong cho các với một không người những để này đã từ khi "
        "đến về như cũng tại vào ra hay sau nhiều",
        "ca": "de la i el que en a els del les per un una amb és no es al com més són va dels "
        "seu o seva també aquest aquesta ser està fins però entre",
        "sq": "e të në i dhe për një me nga që është më se u ka si nuk do janë ky kjo ose por "
        "deri pas gjatë",
    },
    "cyrillic": {
        "ru": "и в не на что с по как это к из у от для за но его о а или при также был было "
        "быть может которые который только если они все я того",
        "uk": "і в на що не з у до та як за це від є для його про також але або був було при "
        "бути може які який після тільки якщо вони",
        "bg": "на и да се в от за е са не по че с като до това при или към след но може бъде "
        "който която които със само още",
        "sr": "и у је на се да су за од са који а као из о не по до која бити или што био није "
        "те према такође које може",
        "mk": "на и во да се од за е со не по дека како до тоа при или кон но може биде кој "
        "која кои само уште ги го",
        "be": "і ў на што не з у да як за гэта ад для яго пра таксама але або быў было пры "
        "быць можа якія які пасля толькі калі",
    },
}
_WORDS = {
    script: {language: frozenset(words.split()) for language, words in lists.items()}
    for script, lists in _COMMON.items()
}
_LETTERS = {script: re.compile(f"[{ranges}]") for script, ranges in _SCRIPTS.items()}
_WORD = re.compile(r"[^\W\d_]+")
_OWN_LETTERS = {"ru": "ыэё", "uk": "їєґ", "be": "ў", "sr": "ћђ", "mk": "ѓќѕ"}
"""Letters that the others in the same script do not have; each counts as a common word."""
_FARSI = re.compile("[\u067e\u0686\u0698\u06af\u06cc\u06a9]")
_URDU = re.compile("[\u0679\u0688\u0691\u06d2\u06ba]")


def language_code(text: str) -> str:
    """Return the ISO 639-1 code of the language that most of `text` is in; empty: unknown.

    >>> language_code("Die Reise wird von dem Amt gebucht, und die Belege sind einzureichen.")
    'de'
    >>> language_code("出張は事務所が予約する。")
    'ja'
    >>> language_code("4711 0815 12.5 %")
    ''
    """
    sample = _sample(text)
    letters = {script: len(found.findall(sample)) for script, found in _LETTERS.items()}
    script = max(letters, key=letters.__getitem__)
    if letters[script] < FEWEST:
        return ""
    if script in {"kana", "han"}:
        return "ja" if letters["kana"] * 20 > letters["han"] else "zh"
    if script == "arabic":
        return _of_arabic(sample, letters[script])
    return _by_words(sample, script) if script in _WORDS else script


def _sample(text: str) -> str:
    if len(text) <= 3 * SAMPLE:
        return text
    middle = (len(text) - SAMPLE) // 2
    return " ".join((text[:SAMPLE], text[middle : middle + SAMPLE], text[-SAMPLE:]))


def _of_arabic(sample: str, letters: int) -> str:
    """Tell by letters that the other languages do not have."""
    if len(_URDU.findall(sample)) * 100 > letters:
        return "ur"
    return "fa" if len(_FARSI.findall(sample)) * 50 > letters else "ar"


def _by_words(sample: str, script: str) -> str:
    """Return the language whose common words are the most of all, if they are enough of them."""
    seen = Counter(_WORD.findall(sample.lower()))
    hits = {
        language: sum(seen[word] for word in common)
        + sum(map(sample.count, _OWN_LETTERS.get(language, "")))
        for language, common in _WORDS[script].items()
    }
    first, second = sorted(hits, key=lambda language: (-hits[language], language))[:2]
    enough = max(FEWEST, SHARE * seen.total())
    return first if hits[first] >= max(enough, MARGIN * hits[second]) else ""
