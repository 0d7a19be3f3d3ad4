"""Where the tokens of an embedding model lie in a text, told without the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knowledge.errors import ConfigurationError
from knowledge.models import Span

_STRETCH = 100_000
"""Characters that are tokenised at once."""


class Tokens:
    """A tokenizer, made from its own `description`, that neither cuts nor pads."""

    def __init__(self, description: str) -> None:
        from tokenizers import Tokenizer

        self.description = description
        self._tokenizer = Tokenizer.from_str(description)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def spans(self, text: str) -> list[Span]:
        """Return the span of every token of `text`, in order, without special tokens."""
        return [
            Span(stretch.start + start, stretch.start + end)
            for stretch in _stretches(text)
            for start, end in self._tokenizer.encode(
                stretch.cut(text), add_special_tokens=False
            ).offsets
            if start < end
        ]


def described(tokenizer: Any) -> str:  # noqa: ANN401
    """Return the description of a model's tokenizer; raises `ConfigurationError`."""
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(fast, "to_str"):
        raise ConfigurationError("the embedding model needs a fast tokenizer (tokenizer.json)")
    return str(fast.to_str())


def _stretches(text: str) -> Iterator[Span]:
    """Cut a long text before white space, where no token goes on.

    The tokenizer keeps some hundred bytes per token until it has seen all of what it is given.
    """
    start = 0
    while start < len(text):
        end = min(start + _STRETCH, len(text))
        if end < len(text) and (space := _last_space(text, start + 1, end)):
            end = space
        yield Span(start, end)
        start = end


def _last_space(text: str, start: int, end: int) -> int | None:
    return next((i for i in range(end - 1, start - 1, -1) if text[i].isspace()), None)
