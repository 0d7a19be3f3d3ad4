"""The kernel that prepares activations against its twin, under Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from serving.moe.layout import prepare_rows

pytestmark = [
    pytest.mark.moe,
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # Triton's
]


@pytest.mark.parametrize("tokens", [0, 1, 3])
def test_rows_are_prepared_as_the_twin_does(tokens: int) -> None:
    from serving.moe.kernels.prepare import prepare

    x = torch.randn(tokens, 192, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(prepare(x), prepare_rows(x.float()).half())


def test_bfloat16_is_kept_exactly_within_the_range_of_float16() -> None:
    from serving.moe.kernels.prepare import prepare

    powers = torch.arange(-14, 16).repeat(7)[:192]
    x = (1.9921875 * 2.0**powers).reshape(1, 192).bfloat16()
    assert torch.equal(prepare(x).double(), prepare_rows(x).double())
