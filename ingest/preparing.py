"""Texts made ready in a child process of low priority, so that searches keep the interpreter.

Down go a document's title and blocks as JSON and its text; back come chunks as JSON, and their
texts and term weights as plain arrays. `footnote.preparing` is the child.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, pairwise

from ingest.parsing import wire
from knowledge.errors import IngestError, TooLarge
from knowledge.models import Chunk, Parsed, Prepared, Sketch, Span, SparseVector, derive_id
from knowledge.niced import Answer, Aside, Receive
from knowledge.ports import Preparer

PATIENCE = 200_000
"""Characters that are prepared here before a child is worth its start."""
_COUNT, _WEIGHT = "I", "f"


class NicedPreparer:
    """Implements the `Preparer` door over `here`, which takes short texts, and a child.

    A child is started once `patience` characters have come; `greeting` tells it to do as `here`
    does. What it cannot do is done here.
    """

    def __init__(
        self, here: Preparer, greeting: bytes, *, patience: int = PATIENCE, idle: float = 120.0
    ) -> None:
        self._here = here
        self._patience = patience
        self._seen = 0
        self._child = Aside(
            "footnote.preparing",
            work="documents are cut",
            idle=idle,
            greeting=greeting,
            rested=self._rested,
        )

    def prepare(self, parsed: Parsed, *, most: int | None = None) -> Prepared:
        """Return all that is indexed of a text but dense vectors."""
        self._seen += len(parsed.text)
        if self._seen >= self._patience:
            made = self._child.ask(_question(parsed, most), _answer)
            if isinstance(made, IngestError):
                raise made
            if made is not None:
                return made
        return self._here.prepare(parsed, most=most)

    def close(self) -> None:
        """End the child; a later call may start another."""
        self._child.close()

    def _rested(self) -> None:
        self._seen = 0


def answering(here: Preparer) -> Answer:
    """Return what the child does with the frames that come."""

    def answer(receive: Receive) -> Iterator[bytes]:
        head = wire.decode(receive())
        blocks = tuple(map(wire.to_block, head["blocks"]))
        parsed = Parsed(head["title"], _text(receive()), blocks)
        try:
            yield from _prepared(here.prepare(parsed, most=head["most"]))
        except TooLarge as error:
            yield wire.encode(wire.from_error(error))

    return answer


# --- down ---------------------------------------------------------------------------------------


def _question(parsed: Parsed, most: int | None) -> Iterator[bytes]:
    blocks = list(map(wire.from_block, parsed.blocks))
    yield wire.encode({"title": parsed.title, "blocks": blocks, "most": most})
    yield _bytes(parsed.text)


# --- and back -----------------------------------------------------------------------------------


def _prepared(made: Prepared) -> Iterator[bytes]:
    sketch = made.sketch
    yield wire.encode(
        {
            "language": made.language,
            "sketch": [sketch.numbers, sketch.threshold] if sketch else None,
            "chunks": list(map(_from_chunk, made.chunks)),
        }
    )
    texts = list(map(_bytes, made.texts))
    yield array(_COUNT, map(len, texts)).tobytes()
    yield b"".join(texts)
    yield array(_COUNT, (len(each.indices) for each in made.sparse)).tobytes()
    yield array(_COUNT, chain.from_iterable(each.indices for each in made.sparse)).tobytes()
    yield array(_WEIGHT, chain.from_iterable(each.values for each in made.sparse)).tobytes()


def _answer(receive: Receive) -> Prepared | IngestError:
    head = wire.decode(receive())
    if "failed" in head:
        return wire.to_error(head)
    lengths, texts = _counts(receive()), receive()
    counts, indices, weights = _counts(receive()), _counts(receive()), array(_WEIGHT)
    weights.frombytes(receive())
    return Prepared(
        chunks=tuple(_to_chunk(at, *row) for at, row in enumerate(head["chunks"])),
        texts=tuple(_text(texts[start:end]) for start, end in _places(lengths)),
        sparse=tuple(
            SparseVector(tuple(indices[start:end]), tuple(weights[start:end]))
            for start, end in _places(counts)
        ),
        sketch=Sketch(tuple(head["sketch"][0]), head["sketch"][1]) if head["sketch"] else None,
        language=head["language"],
    )


def _from_chunk(chunk: Chunk) -> list[object]:
    span, header = chunk.span, chunk.header
    return [span.start, span.end, chunk.heading, chunk.page, header, chunk.imprint]


def _to_chunk(
    at: int, start: int, end: int, heading: list[str], page: int | None, header: str, imprint: str
) -> Chunk:
    span, path = Span(start, end), tuple(heading)
    return Chunk(derive_id("", str(at)), "", at, span, path, page, header, imprint)


def _counts(frame: bytes) -> array[int]:
    found = array(_COUNT)
    found.frombytes(frame)
    return found


def _places(lengths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Return where each of some stretches of these lengths begins and ends."""
    return pairwise(accumulate(lengths, initial=0))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
