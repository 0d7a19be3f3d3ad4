"""Which model and which index belong together: the spaces of the generations.

An space is opened when it is first used. Which generation is live is looked up in the catalog, at
most once a second, so that every process follows a switch that another one has made.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import ConfigurationError
from knowledge.index.family import IndexFamily
from knowledge.models import Generation, GenerationState
from knowledge.ports import Embedder, Generations, SparseEncoder, VectorSpace
from knowledge.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

TRUSTED_SECONDS = 1.0


class Spaces:
    """The spaces of all generations, by number; safe to share between threads.

    `load` loads a model for questions, `beside` gives an embedder of the same space for documents,
    and `versions` names what a generation is made with.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Generations,
        sparse: SparseEncoder,
        *,
        load: Callable[[Path | None], Embedder],
        beside: Callable[[Embedder, Path | None], Embedder],
        versions: Callable[[Embedder], str],
        family: IndexFamily,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._sparse = sparse
        self._load = load
        self._beside = beside
        self._versions = versions
        self._models: dict[str, Embedder] = {}
        self._documents: dict[str, Embedder] = {}
        self._spaces: dict[int, VectorSpace] = {}
        self._live: Generation | None = None
        self._looked_at = float("-inf")
        self._lock = threading.RLock()
        self.family = family

    def live(self) -> VectorSpace:
        """Return the space that questions are answered by now."""
        return self.of(self.live_generation())

    def live_generation(self) -> Generation:
        """Return the generation that is live; the first one begins with the settings of now."""
        with self._lock:
            if self._live is None or time.monotonic() - self._looked_at > TRUSTED_SECONDS:
                found = self._catalog.generation(GenerationState.LIVE)
                self._live = found or self.begin(GenerationState.LIVE)
                self._looked_at = time.monotonic()
            return self._live

    def look_again(self) -> None:
        """Forget which generation was live, and drop the indexes of those that are kept no more."""
        with self._lock:
            self._looked_at = float("-inf")
            kept = {generation.number for generation in self._catalog.generations()}
            self._spaces = {key: each for key, each in self._spaces.items() if key in kept}
        self.family.prune()

    def of(self, generation: Generation) -> VectorSpace:
        """Return the space of a generation; loading its model takes seconds."""
        with self._lock:
            if generation.number not in self._spaces:
                index = self.family.member(generation)
                embedder = self._model(self._model_of(generation))
                self._spaces[generation.number] = VectorSpace(
                    embedder, self._sparse, index, generation.number
                )
            return self._spaces[generation.number]

    def for_documents(self, generation: Generation) -> VectorSpace:
        """Return the space of a generation as documents are embedded by it."""
        model = self._model_of(generation)
        with self._lock:
            if model not in self._documents:
                embedder = self._model(model)
                self._documents[model] = self._beside(embedder, Path(model) if model else None)
            return replace(self.of(generation), embedder=self._documents[model])

    def begin(self, state: GenerationState) -> Generation:
        """Begin a generation with the settings of now; one that was building is given up."""
        embedder = self._model(self._wanted_model)
        self.family.prune(ahead=1)
        return self._catalog.begin_generation(
            versions=self._versions(embedder),
            model=self._wanted_model,
            dimension=embedder.dimension,
            chunk_tokens=self._settings.chunk_tokens,
            state=state,
        )

    def wanted(self) -> str:
        """Return the versions that a generation begun now would have; loads the model."""
        return self._versions(self._model(self._wanted_model))

    def is_outdated(self) -> bool:
        """Say whether what is live was made by another model, chunk size or parser."""
        return self.live_generation().versions != self.wanted()

    def close(self) -> None:
        """Close all indexes."""
        self.family.close()

    @property
    def _wanted_model(self) -> str:
        return str(self._settings.embedding_model or "")

    def _model_of(self, generation: Generation) -> str:
        """Return the model's folder; the one in the settings if it is the same, wherever it lay."""
        wanted = self._wanted_model
        if generation.model == wanted:
            return wanted
        same = self._model(wanted).name in generation.versions.split("|")
        return wanted if same else generation.model

    def _model(self, model: str) -> Embedder:
        with self._lock:
            if model not in self._models:
                try:
                    self._models[model] = self._load(Path(model) if model else None)
                except ConfigurationError as error:
                    raise ConfigurationError(self._advice(model, error)) from error
            return self._models[model]

    def _advice(self, model: str, error: ConfigurationError) -> str:
        if model == self._wanted_model:
            return str(error)
        return (
            f"{error}; the index was made with that model: put it back until footnote reindex has "
            "built another one"
        )
