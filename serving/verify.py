"""Holds each sentence of an answer against what it cites."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.models import Backing, Citation, Context, Statement
from serving.cite import Claim, claims, resolve, states

SUPPORTED = 0.6
"""Least support of a sentence that is carried; what is below half of it is not carried at all."""
UNCITED = "uncited"
WEAK = "weak"


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of an answer's sentences."""

    citations: tuple[Citation, ...]
    statements: tuple[Statement, ...]


def verify(text: str, context: Context) -> Verified:
    """Judge every sentence of `text` that claims something; its marks are all among the passages.

    A sentence that cites nothing is unsupported, whatever the passages say.
    """
    judged = tuple(_judge(claim, context) for claim in claims(text) if states(claim))
    return Verified(resolve(text, context), judged)


def _judge(claim: Claim, context: Context) -> Statement:
    if not claim.numbers:
        return Statement(claim.span, (), Backing.UNSUPPORTED, 0.0, (UNCITED,))
    marks = "".join(f"[{number}]" for number in claim.numbers)
    found = resolve(claim.text + marks, context)
    support = max((citation.support for citation in found), default=0.0)
    if support >= SUPPORTED:
        return Statement(claim.span, claim.numbers, Backing.SUPPORTED, support)
    backing = Backing.PARTLY if support >= SUPPORTED / 2 else Backing.UNSUPPORTED
    return Statement(claim.span, claim.numbers, backing, support, (WEAK,))
