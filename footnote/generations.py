"""What `footnote reindex` does, beside the service or inside it: build, go back, discard, tell."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from footnote.spaces import Spaces
from ingest.golden import GoldenQuestion, make_questions, read_questions
from ingest.pipeline import Pipeline
from ingest.reindex import LOSS, Plan, Step, go_back, reindex
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import ConfigurationError
from knowledge.models import Document, Generation, GenerationState
from knowledge.ports import Parser

Json = dict[str, Any]


class Reindexer:
    """Changes which generation of the index is live.

    `pipeline_of` makes revisions of a generation; `content` gives the bytes of a digest.
    """

    def __init__(
        self,
        catalog: SqlCatalog,
        spaces: Spaces,
        *,
        pipeline_of: Callable[[Generation], Pipeline],
        parser: Parser,
        content: Callable[[str], bytes],
    ) -> None:
        self._catalog = catalog
        self._spaces = spaces
        self._pipeline_of = pipeline_of
        self._parser = parser
        self._content = content

    def run(
        self,
        action: str,
        *,
        golden: Path | None = None,
        loss: float = LOSS,
        force: bool = False,
    ) -> Iterator[Json]:
        """Do `build`, `back` or `discard`, and yield its steps in the API's JSON."""
        if action == "discard":
            self.discard()
            return iter(())
        steps = self.back() if action == "back" else self.build(golden, loss=loss, force=force)
        return map(asdict, steps)

    def build(
        self, golden: Path | None = None, *, loss: float = LOSS, force: bool = False
    ) -> Generator[Step, None, None]:
        """Build a generation by the settings of now, or go on with it, and switch if it is good.

        Raises `ConfigurationError` when what is live was made by these settings already.
        """
        if golden is not None:
            self._read(golden)  # says at once what is wrong with it
        generation = self._under_way()

        def questions() -> list[GoldenQuestion]:
            return self._read(golden) if golden else self._made()

        yield from reindex(self._plan(generation), self._catalog, questions, loss=loss, force=force)
        self._spaces.look_again()

    def back(self) -> Iterator[Step]:
        """Make the former generation live again; `ConfigurationError` where none is kept."""
        yield from go_back(self._plan(self._of(GenerationState.FORMER)), self._catalog)
        self._spaces.look_again()

    def discard(self) -> Generation:
        """Give up the one that is building, else the former one, and free its room on the disk."""
        building = self._catalog.generation(GenerationState.BUILDING)
        given_up = building or self._of(GenerationState.FORMER)
        self._catalog.discard_generation(given_up.number)
        self._spaces.look_again()
        return given_up

    def state(self) -> Json:
        """Return the generations, the newest first, and how many documents each has."""
        return {
            "generations": [
                generation_json(each, self._catalog.progress(each.number))
                for each in self._catalog.generations()
            ]
        }

    def _under_way(self) -> Generation:
        """Return the generation that is building by these settings; else begin one."""
        live, wanted = self._spaces.live_generation(), self._spaces.wanted()
        if live.versions == wanted:
            raise ConfigurationError(
                "the index is made by the model, chunk size and parser of now; there is nothing "
                "to build (to make up for lost passages: footnote rebuild)"
            )
        building = self._catalog.generation(GenerationState.BUILDING)
        if building is not None and building.versions == wanted:
            return building
        return self._spaces.begin(GenerationState.BUILDING)

    def _plan(self, generation: Generation) -> Plan:
        return Plan(
            generation=generation,
            pipeline=self._pipeline_of(generation),
            new=self._spaces.of(generation),
            live=self._spaces.live(),
            parser=self._parser,
            content=self._content,
        )

    def _of(self, state: GenerationState) -> Generation:
        found = self._catalog.generation(state)
        if found is None:
            raise ConfigurationError("no former generation is kept; there is nothing to go back to")
        return found

    def _read(self, golden: Path) -> list[GoldenQuestion]:
        documents = self._catalog.live_by_uri()

        def document(uri: str) -> Document | None:
            found = self._catalog.stored(documents.get(uri, ""))
            return found[0] if found else None

        return read_questions(golden, document)

    def _made(self) -> list[GoldenQuestion]:
        return make_questions(self._catalog, sorted(self._catalog.live_by_uri().values()))


def generation_json(generation: Generation, progress: tuple[int, int]) -> Json:
    """Return a generation in the API's JSON; a live one has all documents."""
    live = generation.state is GenerationState.LIVE
    done, total = (progress[1], progress[1]) if live else progress
    return {
        "number": generation.number,
        "state": generation.state.value,
        "versions": generation.versions,
        "model": generation.model or "bundled",
        "chunk_tokens": generation.chunk_tokens,
        "documents": done,
        "of": total,
        "started_at": generation.started_at.isoformat(),
        "switched_at": generation.switched_at.isoformat() if generation.switched_at else None,
        "recall_before": generation.recall_before,
        "recall_after": generation.recall_after,
    }
