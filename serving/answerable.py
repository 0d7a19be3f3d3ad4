"""How likely it is that the passages answer the question, told without any language model.

Where nothing answers, a search still finds what is about the same thing. So likeness alone says
little; what says more is how near a sentence is to the question once what all of them share, their
topic, is taken away. Both are measured here, with words and scores beside them, and weighed by a
logistic model (`docs/measurements.md`, "Abstention").
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import mul, sub
from pathlib import Path

from knowledge.errors import ConfigurationError
from knowledge.models import Context, Passage
from knowledge.ports import Embedder
from knowledge.terms import terms
from retrieval.retriever import condense
from serving.cite import quotable
from serving.markers import plain

PASSAGES = 8
"""That are looked at, the best ones."""
NEAREST = 6
"""Of all passages that were found, those beyond which the others tell what is usual."""
SENTENCES = 16
"""Of them, those with the most words of the question."""
FEWEST_WORDS = 4
FEWEST_TO_COMPARE = 4
"""Passages, or sentences."""
ELSEWHERE = 30
"""Sentences taken to exist beyond: in a tiny context, too, a word that occurs is not common."""
WINDOW = 25
"""Words within which those of the question are looked for together."""
SHARPNESS = 0.05
"""Of the share of nearness that the best passage's sentences have."""
ASKING = frozenset(
    terms(
        "how when where why whom whose who what which do does did can could would should many "
        "much is are was were the of"
    )
)

Vector = Sequence[float]
Vectors = Callable[[Sequence[str]], Mapping[str, Vector]]
"""Maps ids of chunks to the vectors that the index has of them; others are absent."""

FEATURES = (
    *("nearest_passage", "passage_depth", "passage_aspect", "passage_beside_title"),
    *("nearest_sentence", "nearest_three", "aspect_of_three", "three_beside_title"),
    *("share_of_best", "sentence_gap"),
    *("words_of_first", "words_beside_title", "words_missing", "words_together", "words_asked"),
    *("words_of_nearest", "words_of_all", "words_of_title"),
    *("score_gap", "score_drop"),
)


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted model: what each feature counts, and from which probability on one answers."""

    embedder: str
    """The name of the embedding model that the features are of."""
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def probability(self, features: Sequence[float]) -> float:
        """Return the probability, 0..1, that somebody would say it is answered."""
        scaled = (
            weight * (value - mean) / scale
            for value, mean, scale, weight in zip(
                features, self.means, self.scales, self.weights, strict=True
            )
            if not math.isnan(value)
        )
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.bias + sum(scaled)))))

    def written(self) -> str:
        """Return the JSON that `read_weights` reads."""
        return json.dumps({"features": FEATURES, **asdict(self)}, indent=1)


def read_weights(path: Path) -> Weights:
    """Read what `Weights.written` wrote; raises `ConfigurationError` for anything else."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        of = tuple(held.pop("features"))
        lists = {name: tuple(map(float, held[name])) for name in ("means", "scales", "weights")}
        weights = Weights(**{**held, **lists})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); {_AGAIN}") from error
    if of != FEATURES or {len(each) for each in lists.values()} != {len(FEATURES)}:
        raise ConfigurationError(f"{path} is of another version; {_AGAIN}")
    return weights


_AGAIN = "delete it, or run: footnote calibrate"
SHIPPED = Path(__file__).with_suffix(".json")
"""Weights for the bundled embedding model, made by `scripts/make_answerable.py`."""


class Answerability:
    """Tells whether a context answers its question; synchronous, safe to share between threads."""

    def __init__(self, weights: Weights, embedder: Embedder, vectors: Vectors) -> None:
        self._weights = weights
        self._embedder = embedder
        self._vectors = vectors

    def answers(self, context: Context) -> bool:
        """Say whether to answer from this context."""
        return self.probability(context) >= self._weights.threshold

    def probability(self, context: Context) -> float:
        """Return how likely the passages answer the question; 0 where there is nothing to read."""
        found = features(context, self._embedder, self._vectors)
        return self._weights.probability(found) if found else 0.0


def features(context: Context, embedder: Embedder, vectors: Vectors) -> tuple[float, ...] | None:
    """Return the values of `FEATURES`; None where no passage holds a sentence.

    What compares passages or sentences is not a number where there are too few of them to compare,
    and counts for nothing then: a collection may be small.

    Of a follow-up both readings count, with what was asked before and without it: for each feature
    the greater value.
    """
    passages = context.passages[:PASSAGES]
    asked = dict.fromkeys([condense(context.question), context.question.text])
    sentences = list(_sentences(passages))
    if not sentences:
        return None
    readings = [_Reading(question, passages, sentences) for question in asked]
    made = _embedded(readings, passages, context.found, embedder, vectors)
    each = [reading.features(made) for reading in readings]
    return tuple(map(_greater, *each)) if len(each) > 1 else each[0]


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    text: str
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Made:
    """Vectors of texts, of the passages in their order, and of all that was found."""

    of: Mapping[str, Vector]
    passages: Sequence[Vector]
    found: Sequence[Vector]


def _sentences(passages: Sequence[Passage]) -> Iterator[_Sentence]:
    for number, passage in enumerate(passages):
        for span in quotable(passage):
            text = " ".join(plain(passage.cut(span)).lstrip("-*•").split())
            if len(text.split()) >= FEWEST_WORDS:
                yield _Sentence(number, text, frozenset(terms(text)))


def _embedded(
    readings: Sequence[_Reading],
    passages: Sequence[Passage],
    found: Sequence[str],
    embedder: Embedder,
    vectors: Vectors,
) -> _Made:
    """Embed what is needed at once; passages that the index has are taken from there."""
    known = vectors(list(dict.fromkeys([*(passage.chunk_id for passage in passages), *found])))
    whole = {
        passage.chunk_id: f"{passage.document.title} {passage.text}"
        for passage in passages
        if passage.chunk_id not in known
    }
    wanted = dict.fromkeys(text for reading in readings for text in reading.texts())
    texts = [*wanted, *(text for text in whole.values() if text not in wanted)]
    of = dict(zip(texts, embedder.embed(texts), strict=True))
    read = [known.get(p.chunk_id) or of[whole[p.chunk_id]] for p in passages]
    return _Made(of, read, [known[each] for each in found if each in known])


class _Reading:
    """One way to read the question, and the sentences that are looked at for it."""

    def __init__(
        self, question: str, passages: Sequence[Passage], sentences: Sequence[_Sentence]
    ) -> None:
        self._question = question
        self._passages = passages
        self._asked = [t for t in dict.fromkeys(terms(question)) if t not in ASKING]
        self._sentences = _most_alike(sentences, frozenset(self._asked))
        self._title = passages[0].document.title

    def texts(self) -> list[str]:
        """Return what is to be embedded."""
        return [self._question, self._title, *(each.text for each in self._sentences)]

    def features(self, made: _Made) -> tuple[float, ...]:
        """Return the values of `FEATURES`."""
        return (*self._by_meaning(made), *self._by_words(made), *self._by_scores())

    def _by_meaning(self, made: _Made) -> Iterator[float]:
        asked, title = made.of[self._question], made.of[self._title]
        said = [made.of[each.text] for each in self._sentences]
        whole = made.passages
        near = _falling(_dot(asked, vector) for vector in whole)
        yield near[0]
        several = len(whole) >= FEWEST_TO_COMPARE
        usual = _falling(_dot(asked, vector) for vector in made.found)[NEAREST:]
        yield near[0] - _mean(usual) if len(usual) >= FEWEST_TO_COMPARE else math.nan
        yield max(_aspects(asked, whole, _middle(whole))) if several else math.nan
        beside = _without(asked, title)
        yield max(_cosine(beside, _without(vector, title)) for vector in whole)
        nearness = [_dot(asked, vector) for vector in said]
        near = _falling(nearness)
        yield near[0]
        yield _mean(near[:3])
        many = len(said) >= FEWEST_TO_COMPARE
        yield _mean(_falling(_aspects(asked, said, _middle(said)))[:3]) if many else math.nan
        yield _mean(_falling(_cosine(beside, _without(vector, title)) for vector in said)[:3])
        yield self._share_of_best(nearness) if several else math.nan
        yield near[0] - near[1] if many else math.nan

    def _share_of_best(self, nearness: Sequence[float]) -> float:
        weights = [math.exp((near - max(nearness)) / SHARPNESS) for near in nearness]
        shares: dict[int, float] = {}
        for sentence, weight in zip(self._sentences, weights, strict=True):
            shares[sentence.passage] = shares.get(sentence.passage, 0.0) + weight
        return max(shares.values()) / sum(weights)

    def _by_words(self, made: _Made) -> Iterator[float]:
        asked, title = self._asked, set(terms(self._title))
        held = [terms(passage.text) for passage in self._passages]
        full = [
            {*words, *terms(p.document.title)}
            for words, p in zip(held, self._passages, strict=True)
        ]
        rarity = self._rarity()
        beside = [term for term in asked if term not in title]
        first = set(held[0])
        best = {term for words in held[:3] for term in words}
        yield _share(rarity, full[0])
        yield sum(term in first for term in beside) / len(beside) if beside else 1.0
        yield float(sum(term not in best for term in asked))
        yield max((_together(words, asked) for words in held[:4]), default=0.0)
        yield float(len(asked))
        yield _share(rarity, self._nearest(made).terms)
        yield _share(rarity, set().union(*full))
        yield len(title.intersection(asked)) / max(1, len(asked))

    def _nearest(self, made: _Made) -> _Sentence:
        asked = made.of[self._question]
        return max(self._sentences, key=lambda each: _dot(asked, made.of[each.text]))

    def _rarity(self) -> dict[str, float]:
        """Weigh the question's words by how few of the sentences hold them."""
        holding = Counter(term for each in self._sentences for term in each.terms)
        count = len(self._sentences) + ELSEWHERE
        return {
            term: math.log1p((count - holding[term] + 0.5) / (holding[term] + 0.5))
            for term in self._asked
        }

    def _by_scores(self) -> Iterator[float]:
        scores = [passage.score for passage in self._passages]
        several = len(scores) >= FEWEST_TO_COMPARE
        yield scores[0] - _mean(scores[1:6]) if several else math.nan
        yield scores[0] - scores[-1] if several else math.nan


def _most_alike(sentences: Sequence[_Sentence], asked: frozenset[str]) -> list[_Sentence]:
    """Keep those that hold most of the question's words, in their order."""
    if len(sentences) <= SENTENCES:
        return list(sentences)
    order = sorted(range(len(sentences)), key=lambda i: (-len(asked & sentences[i].terms), i))
    return [sentences[i] for i in sorted(order[:SENTENCES])]


def _together(words: Sequence[str], asked: Sequence[str]) -> float:
    """Return the greatest share of the question's words within a few words of each other."""
    wanted = set(asked)
    places = [i for i, word in enumerate(words) if word in wanted]
    most = max((len(wanted.intersection(words[i : i + WINDOW])) for i in places), default=0)
    return most / max(1, len(asked))


def _share(rarity: Mapping[str, float], held: frozenset[str] | set[str]) -> float:
    total = sum(rarity.values())
    return sum(weight for term, weight in rarity.items() if term in held) / total if total else 0.0


def _aspects(asked: Vector, vectors: Sequence[Vector], middle: Vector) -> list[float]:
    """Return how near each is to the question once what they share is taken from both."""
    rest = _minus(asked, middle)
    return [_cosine(rest, _minus(vector, middle)) for vector in vectors]


def _without(vector: Vector, direction: Vector) -> list[float]:
    """Take from a vector what it has of a unit vector's direction."""
    along = _dot(vector, direction)
    return [value - along * part for value, part in zip(vector, direction, strict=True)]


def _middle(vectors: Sequence[Vector]) -> list[float]:
    return [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]


def _minus(one: Vector, other: Vector) -> list[float]:
    return list(map(sub, one, other))


def _cosine(one: Vector, other: Vector) -> float:
    return _dot(one, other) / (math.sqrt(_dot(one, one) * _dot(other, other)) + 1e-9)


def _dot(one: Vector, other: Vector) -> float:
    total: float = sum(map(mul, one, other))
    return total


def _greater(one: float, other: float) -> float:
    """Return the greater of two values; one that is no number loses."""
    return other if math.isnan(one) or other > one else one


def _falling(values: Iterator[float] | Sequence[float]) -> list[float]:
    return sorted(values, reverse=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
