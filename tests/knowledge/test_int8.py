from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from knowledge.embedding import weights
from knowledge.embedding.embedder import Precision, precision_here
from knowledge.embedding.int8 import RANGES, quantised
from knowledge.embedding.minilm import MiniLm

PROBES = {
    "amx": "_is_amx_tile_supported",
    "bf16": "_is_avx512_bf16_supported",
    "vnni": "_is_vnni_supported",
    "avx512": "_is_avx512_supported",
}


@pytest.mark.parametrize(
    ("able", "documents", "bundled", "chosen"),
    [
        ("amx bf16 vnni avx512", True, True, Precision.HALF),
        ("bf16 vnni avx512", True, True, Precision.INT8),
        ("bf16 vnni avx512", False, True, Precision.HALF),
        ("bf16 vnni avx512", True, False, Precision.HALF),
        ("vnni avx512", True, True, Precision.INT8),
        ("vnni avx512", False, True, Precision.FULL),
        ("avx512", True, True, Precision.FULL),
        ("", True, True, Precision.FULL),
    ],
)
def test_the_processor_decides_in_what_numbers_is_computed(
    able: str, documents: bool, bundled: bool, chosen: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, probe in PROBES.items():
        monkeypatch.setattr(torch.cpu, probe, partial(bool, name in able.split()))
    assert precision_here(documents=documents, bundled=bundled) is chosen


@pytest.mark.skipif(
    precision_here(documents=True, bundled=True) is not Precision.INT8, reason="no such processor"
)
def test_the_rounded_model_is_used_where_it_is_meant_to_be() -> None:
    folder, _ = weights.find(None)
    model = MiniLm.load(folder)
    assert quantised(model) is not model


def test_a_rounded_model_that_makes_other_vectors_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = weights.find(None)
    model = MiniLm.load(folder)
    wrong = [
        [[low / 20, high / 20, *more] for low, high, *more in layer]
        for layer in json.loads(RANGES.read_text())
    ]
    ranges = tmp_path / "ranges.json"
    ranges.write_text(json.dumps(wrong))
    assert quantised(model, ranges) is model
    assert "8-bit integers are not used: least cosine" in caplog.text
