"""What a stream says: passages, steps, text, citations, and exactly one terminal event."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.models import Answer, Citation, Passage


@dataclass(frozen=True, slots=True)
class PassagesEvent:
    """The numbered passages an answer may cite; the first one is number 1.

    A later one replaces it: the model has read on, and the numbers are of what it cites.
    """

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class DeltaEvent:
    """More text; every marker in it is `[n]` with a number among the passages."""

    text: str


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """The question waits for the model; `position` counts from 1, and comes again as it falls."""

    position: int


@dataclass(frozen=True, slots=True)
class StepEvent:
    """The model looks further: the tool, and what it was asked for, in the model's words."""

    tool: str
    about: str


@dataclass(frozen=True, slots=True)
class CitationEvent:
    """One resolved citation of the text so far."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """Terminal: the whole answer, and what counts.

    `answer.text` is the text of all deltas joined, unless the model failed after text was shown, or
    a document changed under it: then it is another answer, and a client shows it in place of the
    deltas. Where that is extractive since the model failed, `answer.fallback_reason` says why.
    """

    answer: Answer
    rests_on: frozenset[str] = frozenset()
    """Ids of all documents that its words may come from; never sent."""
    stored: Stored | None = None
    """Where it is kept; None: it is not."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an answer is kept."""

    conversation: str
    answer: str


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Terminal: there is no answer; `retryable` says whether asking again may help."""

    code: str
    message: str
    retryable: bool


Terminal = AnswerEvent | ErrorEvent
Event = PassagesEvent | QueuedEvent | StepEvent | DeltaEvent | CitationEvent | Terminal
