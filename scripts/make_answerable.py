"""Fits the weights that ship: what tells answerable questions from others, on two sets together.

`PYTHONPATH=. python scripts/make_answerable.py` writes `serving/answerable.json`. The threshold is
the highest that still answers `ANSWERED` of the answerable questions, held out by title and by
conversation.
"""

from __future__ import annotations

from dataclasses import replace

from footnote.fitting import area, choose, curve, fit, held_out
from knowledge.embedding.embedder import SentenceTransformerEmbedder
from serving.answerable import SHIPPED
from tests.quality.test_abstention import SETS, ask_all

ANSWERED = 0.95


def main() -> None:
    """Fit, choose, write and tell."""
    embedder = SentenceTransformerEmbedder()
    examples = [each.example for name in SETS for each in ask_all(name, embedder)]
    answered = [each.answered for each in examples]
    found = held_out(examples)
    point = choose(curve(found, answered), answered=ANSWERED)
    weights = replace(fit(examples, embedder.name), threshold=point.threshold)
    SHIPPED.write_text(weights.written() + "\n", encoding="utf-8")
    print(f"{len(examples)} questions, AUROC held out {area(found, answered):.3f}; {point}")


if __name__ == "__main__":
    main()
