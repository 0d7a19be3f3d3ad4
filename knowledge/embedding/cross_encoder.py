"""A local sentence-transformers CrossEncoder: reads question and passage together.

Importing this module is cheap; building one takes seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from knowledge.embedding import weights
from knowledge.errors import ConfigurationError

_BATCH = 16


class CrossEncoderReranker:
    """Implements the `Reranker` door; safe to share between threads.

    Raises `ConfigurationError` for anything but a folder with safetensors weights of a model that
    gives one score.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from sentence_transformers import CrossEncoder

        checked, _ = weights.find(folder, "FOOTNOTE_RERANK_MODEL")
        try:
            self._model = CrossEncoder(
                str(checked.resolve()),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(f"{folder} is no cross-encoder: {error}") from error
        if self._model.num_labels != 1:
            raise ConfigurationError(
                f"{folder} gives {self._model.num_labels} scores; a reranker gives one"
            )
        self._lock = threading.Lock()

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text fits the query; higher is better."""
        if not texts:
            return []
        pairs = [(query, text) for text in texts]
        with self._lock:  # questions at once only fight for the cores
            found = self._model.predict(pairs, batch_size=_BATCH, show_progress_bar=False)
        return [float(score) for score in found]
