"""Dense vectors from a local sentence-transformers model.

Importing this module is cheap; building an embedder takes seconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from knowledge.embedding import weights
from knowledge.embedding.tokens import Tokens, described
from knowledge.models import Span

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from knowledge.embedding.minilm import MiniLm

    Model: TypeAlias = SentenceTransformer | MiniLm


class Precision(StrEnum):
    """In what numbers a model is computed."""

    FULL = "float32"
    HALF = "bfloat16"
    INT8 = "int8"


_FEW = 4
"""So many texts are a question rather than a document: embedded at once in the calling thread."""

_MOST_TOKENS = 512
"""Of a model that does not say how long a text it takes."""

_BATCH = 8
_GPU_BATCH = 64


class SentenceTransformerEmbedder:
    """Implements the `Embedder` door; safe to share between threads.

    `folder` None is the bundled MiniLM, whose weights are checked against a pinned digest. Raises
    `ConfigurationError` for anything but a folder with safetensors weights. One that is for
    `documents` may round more. Vectors of all precisions are of one space and go by one `name`:
    what finds what differs less between them than between two machines' order of summing up.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        documents: bool = False,
        precision: Precision | None = None,
    ) -> None:
        checked, self.name = weights.find(folder)
        model = _load(checked, bundled=folder is None)
        self.on_gpu = model.device.type != "cpu"
        if precision is None:
            here = precision_here(documents=documents, bundled=folder is None)
            precision = Precision.FULL if self.on_gpu else here
        self._model = _at(precision, model)
        self.tokens = Tokens(described(self._model.tokenizer))
        # More questions at once than cores only fight for them: two thirds of the throughput, ten
        # times the latency.
        self._questions = threading.BoundedSemaphore(_cores())
        # One thread of torch per batch: threads inside an operation wait for each other, and
        # collapse when the machine is busy.
        workers = 1 if self.on_gpu else _cores()
        self._documents = ThreadPoolExecutor(workers, thread_name_prefix="embed")
        self.dimension = len(self._forward(["a first text, slower than all later ones"])[0])
        self.max_tokens = self._model.max_seq_length or _MOST_TOKENS

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return one unit vector per text, in order; texts beyond `max_tokens` are cut."""
        if len(texts) <= _FEW:
            with self._questions:
                return self._forward(texts) if texts else []
        size = _GPU_BATCH if self.on_gpu else _BATCH
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        batches = [by_length[start : start + size] for start in range(0, len(texts), size)]
        made = self._documents.map(lambda batch: self._forward([texts[i] for i in batch]), batches)
        vectors = {
            i: vector
            for batch, found in zip(batches, made, strict=True)
            for i, vector in zip(batch, found, strict=True)
        }
        return [vectors[i] for i in range(len(texts))]

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of every token of `text`, in order, without special tokens."""
        return self.tokens.spans(text)

    def _forward(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        import torch

        with torch.inference_mode():
            features = self._model.preprocess(list(texts))
            if self.on_gpu:
                from sentence_transformers.util import batch_to_device

                features = batch_to_device(features, self._model.device)
            vectors = self._model(features)["sentence_embedding"].float()
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return [tuple(vector) for vector in vectors.cpu().tolist()]


def _load(folder: Path, *, bundled: bool) -> Model:
    """Load any model by the library, but the bundled one by ourselves where there is no GPU."""
    from torch import cuda

    if not bundled or cuda.is_available():
        return weights.load(folder)
    from knowledge.embedding.minilm import MiniLm

    return MiniLm.load(folder)


def precision_here(*, documents: bool, bundled: bool) -> Precision:
    """Choose for this processor: the fastest that finds as well as full precision does.

    Where matrices of bfloat16 are multiplied in hardware (AMX) nothing is faster. Without that unit
    8-bit integers are, where the processor has VNNI and the model has measured ranges; questions
    stay more precise, since there are few. Elsewhere bfloat16 is emulated and slow.
    """
    from torch import cpu

    if not hasattr(cpu, "_is_amx_tile_supported"):  # another version or kind of processor
        return Precision.FULL
    if cpu._is_amx_tile_supported() and cpu._is_avx512_bf16_supported():
        return Precision.HALF
    if documents and bundled and cpu._is_avx512_supported() and cpu._is_vnni_supported():
        return Precision.INT8
    return Precision.HALF if cpu._is_avx512_bf16_supported() else Precision.FULL


def _at(precision: Precision, model: Model) -> Model:
    if precision is Precision.INT8:
        from knowledge.embedding.int8 import quantised
        from knowledge.embedding.minilm import MiniLm

        return quantised(model) if isinstance(model, MiniLm) else model
    if precision is Precision.HALF:
        import torch

        return model.to(torch.bfloat16)
    return model


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
