"""Whether two sentences say the opposite of what they share; pure.

Local, and careful: a negation only counts where what it denies stands, undenied, in the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from knowledge.terms import terms

SCOPE = 4
"""Words that carry meaning which a negation denies at most."""

_NEGATOR_LIST = """
not no never neither nor none nobody nothing nowhere without cannot n't fails failed unable
refuses refused nicht kein keine keinen keinem keiner keines nie niemals ohne weder niemand nichts
ne n' pas jamais aucun aucune sans non nunca sin ningún ninguna ninguno tampoco mai senza nessun
nessuna não sem nenhum nenhuma niet geen nooit zonder
"""
NEGATORS = frozenset(_NEGATOR_LIST.split())
_NOT_DENYING = re.compile(
    r"\bnot (?:only|just|merely|simply|least|necessarily|until)\b"
    r"|\bnot? (?:later|longer|less|more|fewer) than\b|\bno (?:doubt|matter)\b"
    r"|\bno\. ?\d|\bnon ?-|\bnicht nur\b"
    r"|\bnon seulement\b|\bno solo\b|\bnon solo\b|\bwhether or not\b",
    re.IGNORECASE,
)
_OPPOSITE_LIST = """
increase/decrease increase/decline increase/fall increase/drop increase/reduce rise/fall rose/fell
raise/lower grow/shrink grew/shrank gain/lose gained/lost gain/loss win/lose won/lost more/less
more/fewer most/least most/fewest highest/lowest higher/lower high/low larger/smaller
largest/smallest bigger/smaller longest/shortest longer/shorter older/younger oldest/youngest
above/below before/after first/last earlier/later early/late allow/forbid allow/prohibit
allowed/prohibited allowed/forbidden permit/prohibit permitted/prohibited accept/reject
approve/reject include/exclude legal/illegal lawful/unlawful possible/impossible able/unable
always/never all/none everyone/nobody maximum/minimum begin/end began/ended start/end start/stop
started/ended open/closed opened/closed open/close northern/southern eastern/western north/south
east/west male/female true/false enable/disable mandatory/optional required/optional with/without
buy/sell bought/sold import/export support/oppose successful/unsuccessful success/failure
profit/loss positive/negative internal/external inside/outside public/private left/right
upper/lower major/minor common/rare easy/difficult strong/weak strengthen/weaken married/unmarried
dead/alive born/died best/worst better/worse hot/cold warm/cold wet/dry safe/dangerous
steigt/sinkt gestiegen/gesunken mehr/weniger höher/niedriger vor/nach mit/ohne erlaubt/verboten
augmenter/diminuer avant/après plus/moins avec/sans aumentar/disminuir antes/después más/menos
"""
_OPPOSITES = _OPPOSITE_LIST.split()
_ENDINGS = re.compile(r"(?:es?|e?d|ing)$|(?<!s)s$")


def _root(word: str) -> str:
    """Return a word without the endings that leave its meaning."""
    return _ENDINGS.sub("", word) if len(word) > 4 else word


_OPPOSITE_OF: dict[str, set[str]] = {}
for _pair in _OPPOSITES:
    _one, _other = map(_root, _pair.split("/"))
    _OPPOSITE_OF.setdefault(_one, set()).add(_other)
    _OPPOSITE_OF.setdefault(_other, set()).add(_one)


@dataclass(frozen=True, slots=True)
class Polarity:
    """What a sentence affirms and what it denies, as stems."""

    words: Mapping[str, str]
    """Each undenied word by its root."""
    affirmed: frozenset[str]
    denied: frozenset[str]
    first_denied: tuple[str, ...]
    """The nearest of each negation: what is surely denied."""


def polarity(text: str) -> Polarity:
    """Read a sentence: each negation denies the next few words, up to the end of its clause.

    >>> read = polarity("He will not sell the house, but he left.")
    >>> sorted(read.denied), sorted(read.affirmed), read.first_denied
    (['hous', 'sell'], ['left'], ('sell',))
    """
    plain = _NOT_DENYING.sub(" ", text.replace("’", "'"))
    plain = re.sub(r"\b(\w+)n't\b", r"\1 not", plain, flags=re.IGNORECASE)
    words: dict[str, str] = {}
    affirmed: set[str] = set()
    denied: set[str] = set()
    nearest: list[str] = []
    for clause in _CLAUSE.split(plain):
        left = 0
        for word in _TOKEN.findall(clause.casefold()):
            if word in NEGATORS:
                left = SCOPE
                continue
            if left <= 0:
                words.setdefault(_root(word), word)
            for stem in terms(word, "english"):
                if left == SCOPE:
                    nearest.append(stem)
                (denied if left > 0 else affirmed).add(stem)
                left -= 1
    return Polarity(words, frozenset(affirmed), frozenset(denied), tuple(nearest))


def contradictions(claim: Polarity, quote: Polarity) -> list[str]:
    """Return why the two cannot both hold: `negation`, or `opposite:` with the claim's word."""
    found = ["negation"] if _denies(claim, quote) or _denies(quote, claim) else []
    only_ours, only_theirs = claim.words.keys() - quote.words, quote.words.keys() - claim.words
    found += [
        f"opposite:{claim.words[root]}"
        for root in sorted(only_ours)
        if not only_theirs.isdisjoint(_OPPOSITE_OF.get(root, ()))
    ]
    return found


_CLAUSE = re.compile(
    r"[,;:.!?()–—]"
    r"|\b(?:but|and|although|while|whereas|because|which|who|aber|und|mais|et|pero|y)\b"
)
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?'?|n't")


def _denies(one: Polarity, other: Polarity) -> bool:
    """Say whether `one` surely denies what `other` affirms and does not deny as well."""
    return any(stem in other.affirmed - other.denied for stem in one.first_denied)
