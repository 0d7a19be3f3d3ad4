from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.embedding.entailment import CrossEncoderJudge
from knowledge.errors import ConfigurationError
from scripts.make_tiny_cross_encoder import make_tiny_cross_encoder

NAMES = ("contradiction", "entailment", "neutral")


def test_a_local_model_of_inference_gives_probabilities_in_order(tmp_path: Path) -> None:
    judge = CrossEncoderJudge(make_tiny_cross_encoder(tmp_path, labels=3, names=NAMES))
    pairs = [
        ("soup costs three", "soup is cheap"),
        ("tea", "cake"),
        ("soup costs three", "soup is cheap"),
    ]
    found = judge.infer(pairs)
    assert judge.infer([]) == []
    assert found[0].follows == pytest.approx(found[2].follows, abs=1e-5)
    assert found[0] != found[1]
    assert all(0 <= each.follows + each.denied <= 1 + 1e-6 for each in found)


def test_a_model_that_does_not_name_entailment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no class called entailment"):
        CrossEncoderJudge(make_tiny_cross_encoder(tmp_path, labels=3))
