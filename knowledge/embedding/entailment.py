"""A local sentence-transformers CrossEncoder that says whether a text follows from another.

Importing this module is cheap; building one takes seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from knowledge.embedding import weights
from knowledge.errors import ConfigurationError
from knowledge.models import Inference

_BATCH = 16


class CrossEncoderJudge:
    """Implements the `Judge` door; safe to share between threads.

    Raises `ConfigurationError` for anything but a folder with safetensors weights of a model one of
    whose classes is called entailment.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from sentence_transformers import CrossEncoder

        checked, _ = weights.find(folder, "FOOTNOTE_NLI_MODEL")
        try:
            self._model = CrossEncoder(
                str(checked.resolve()),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(f"{folder} is no cross-encoder: {error}") from error
        names = {name.lower(): at for at, name in self._model.config.id2label.items()}
        if "entailment" not in names:
            raise ConfigurationError(f"{folder} has no class called entailment, but {list(names)}")
        self._follows = int(names["entailment"])
        self._denies = names.get("contradiction")
        self._lock = threading.Lock()

    def infer(self, pairs: Sequence[tuple[str, str]]) -> list[Inference]:
        """Say of each pair how surely the first text implies the second, or denies it."""
        if not pairs:
            return []
        with self._lock:  # answers at once only fight for the cores
            found = self._model.predict(
                list(pairs), batch_size=_BATCH, apply_softmax=True, show_progress_bar=False
            )
        return [
            Inference(
                float(row[self._follows]),
                float(row[self._denies]) if self._denies is not None else 0.0,
            )
            for row in found
        ]
