"""What production runs is what the contracts read and the gates compile for."""

from __future__ import annotations

import re

import pytest

from serving.engine.launch import PINNED
from tests.moe.test_gates import TRITONS, VENV
from tests.moe.test_vllm_contract import VERSIONS

TORCHES = {"0.26.0": "2.11.0", "0.33.0": "2.14.0"}
"""What the vLLM of the first and of the second Triton asks for."""


def test_the_pinned_vllm_is_read_and_compiled_for() -> None:
    assert PINNED in VERSIONS
    assert list(TORCHES)[-1] == PINNED
    assert len(TORCHES) == len(TRITONS)


@pytest.mark.moe
@pytest.mark.parametrize("version", TORCHES)
def test_each_vllm_asks_for_the_torch_that_brings_its_triton(version: str) -> None:
    metadata = VENV / "vllm" / version / f"vllm-{version}.dist-info" / "METADATA"
    asked = re.findall(r"^Requires-Dist: torch==([\d.]+)", metadata.read_text(), re.MULTILINE)
    assert asked == [TORCHES[version]]
