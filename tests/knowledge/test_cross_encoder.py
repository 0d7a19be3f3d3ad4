from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.embedding.cross_encoder import CrossEncoderReranker
from knowledge.errors import ConfigurationError
from scripts.make_tiny_cross_encoder import make_tiny_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_cross_encoder(tmp_path_factory.mktemp("model"))


def test_a_local_cross_encoder_scores_texts_in_order(folder: Path) -> None:
    model = CrossEncoderReranker(folder)
    texts = ["leave is granted", "the canteen opens", "leave is granted"]
    scores = model.scores("annual leave", texts)
    assert len(scores) == 3
    assert scores[0] == pytest.approx(scores[2], abs=1e-5)
    assert abs(scores[0] - scores[1]) > 1e-6
    assert model.scores("annual leave", []) == []


def test_a_model_of_several_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gives 3 scores"):
        CrossEncoderReranker(make_tiny_cross_encoder(tmp_path, labels=3))


def test_what_is_no_safe_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="FOOTNOTE_RERANK_MODEL"):
        CrossEncoderReranker(tmp_path / "none")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="could run code"):
        CrossEncoderReranker(tmp_path)
